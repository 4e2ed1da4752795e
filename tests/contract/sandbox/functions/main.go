package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type event struct {
	Mode, Text string
	Code, Size int
	Names      []string
	Lines      int
}

func fail(text string) {
	panic(text)
}

func main() {
	raw, _ := io.ReadAll(os.Stdin)
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		os.Exit(91)
	}
	switch e.Mode {
	case "stdout":
		os.Stdout.WriteString(e.Text)
	case "fd3":
		fmt.Println("noise on stdout")
		fmt.Fprintln(os.Stderr, "noise on stderr")
		for _, part := range strings.SplitAfter(e.Text, ",") {
			os.NewFile(3, "result").WriteString(part)
		}
	case "fd3_then_fail":
		os.NewFile(3, "result").WriteString(e.Text)
		fmt.Fprint(os.Stderr, "failed after all")
		os.Exit(4)
	case "raw":
		os.NewFile(3, "result").WriteString(fmt.Sprintf("%q", string(raw)))
	case "env":
		out := map[string]any{}
		for _, n := range e.Names {
			if v, ok := os.LookupEnv(n); ok {
				out[n] = v
			} else {
				out[n] = nil
			}
		}
		data, _ := os.ReadFile("data.txt")
		out["data"] = string(data)
		json.NewEncoder(os.Stdout).Encode(out)
	case "exit":
		fmt.Println("this is the log")
		fmt.Fprintln(os.Stderr, e.Text)
		os.Exit(e.Code)
	case "panic":
		fail(e.Text)
	case "kill":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(10 * time.Second)
	case "flood":
		for n := 0; n < e.Lines; n++ {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 99))
		}
		fmt.Print("flooded")
	case "big":
		os.Stdout.WriteString(strings.Repeat("x", e.Size))
	case "quotes":
		os.Stdout.WriteString(strings.Repeat("\x01", e.Size))
	case "binary":
		os.Stdout.Write([]byte{0xff, 0xfe, 0x00})
	case "child":
		exec.Command("sleep", "600").Start()
		fmt.Print("started")
	case "daemon":
		c := exec.Command("sleep", "600")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		c.Stdout = os.Stdout
		c.Start()
		fmt.Print("started")
	case "stuck":
		fmt.Println("before")
		fmt.Fprintln(os.Stderr, "before on stderr")
		signal.Ignore(syscall.SIGTERM)
		for {
		}
	default:
		os.Exit(92)
	}
}
