// Written as a hostile function would be.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

type event struct {
	Mode, Place, What, Agent string
	Code                     int
	Signal                   int
	Seconds                  float64
	Marks                    []string
}

type object = map[string]any

func tried(err error) string {
	if err == nil {
		return "done"
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return map[syscall.Errno]string{1: "EPERM", 2: "ENOENT", 6: "ENXIO", 13: "EACCES", 18: "EXDEV", 26: "ETXTBSY", 30: "EROFS", 97: "EAFNOSUPPORT", 98: "EADDRINUSE", 111: "ECONNREFUSED"}[number]
	}
	return err.Error()
}

func called(number uintptr, a, b, c uintptr) string {
	if _, _, errno := syscall.Syscall(number, a, b, c); errno != 0 {
		return tried(errno)
	}
	return "done"
}

func opened(path string, flags int) string {
	file, err := os.OpenFile(path, flags, 0o600)
	if err == nil {
		file.Close()
	}
	return tried(err)
}

func socketOf(family, kind, protocol int) string {
	_, err := syscall.Socket(family, kind, protocol)
	return tried(err)
}

func untilRefused(work func(int) error) any {
	for n := 0; ; n++ {
		if err := work(n); err != nil {
			var number syscall.Errno
			errors.As(err, &number)
			return []any{map[syscall.Errno]string{11: "EAGAIN", 24: "EMFILE", 28: "ENOSPC"}[number], n > 0}
		}
	}
}

func eat() {
	kept := [][]byte{}
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = 7
		}
		kept = append(kept, b)
	}
}

func forever() {
	for {
	}
}

func child(mode string) *exec.Cmd {
	command := exec.Command("/proc/self/exe")
	command.Stdin = strings.NewReader(fmt.Sprintf(`{"Mode": %q}`, mode))
	return command
}

func search(marks []string) any {
	found, places := [][]string{}, []string{}
	for _, name := range []string{"environ", "cmdline", "mountinfo"} {
		more, _ := filepath.Glob("/proc/[0-9]*/" + name)
		places = append(places, more...)
	}
	for _, top := range []string{"/faas", "/etc", "/run", "/tmp", "/home", "/root", "/var", "/opt", "/dev/shm", "/mnt", "/srv"} {
		filepath.Walk(top, func(path string, info os.FileInfo, err error) error {
			// The program itself is not looked into: it may hold any text.
			if err == nil && info.Mode().IsRegular() && info.Size() < 1<<20 {
				places = append(places, path)
			}
			return nil
		})
	}
	for _, place := range places {
		content, err := os.ReadFile(place)
		for _, mark := range marks {
			if err == nil && strings.Contains(string(content), mark) {
				found = append(found, []string{place, mark})
			}
		}
	}
	return object{"found": found, "looked": len(places)}
}

func overwrite(name string) any {
	code, agent := "/faas/code/main", "/opt/faas/"+name
	mine := map[bool]bool{}
	for _, path := range []string{code, agent, "/faas", "/faas/code"} {
		info, err := os.Stat(path)
		mine[err != nil || int(info.Sys().(*syscall.Stat_t).Uid) == os.Getuid()] = true
	}
	owners := []bool{}
	for one := range mine {
		owners = append(owners, one)
	}
	write := os.O_WRONLY | os.O_CREATE
	return object{
		"code": opened(code, write), "unlink": tried(os.Remove(code)), "chmod": tried(os.Chmod(code, 0o777)), "beside": opened("/faas/code/new", write),
		"agent": opened(agent, write), "agent's folder": opened("/opt/faas/x", write), "rename": tried(os.Rename(agent, "/tmp/agent")), "owners": owners,
	}
}

func link() any {
	_, fake := net.Listen("unix", "/faas/agent.sock")
	_, real := net.Dial("unix", "/faas/agent.sock")
	_, docker := net.Dial("unix", "/var/run/docker.sock")
	return object{
		"link": tried(os.Symlink("/etc/passwd", "/faas/link")), "link in the code": tried(os.Symlink("/etc/passwd", "/faas/code/link")),
		"fake socket": tried(fake), "real socket": tried(real), "docker": tried(docker), "fifo": tried(os.Remove("/faas/stdout")),
	}
}

func kernel() any {
	const bpf, keyctl = 321, 250
	write := os.O_WRONLY
	return object{
		"mount": tried(syscall.Mount("none", "/tmp", "tmpfs", 0, "")), "unshare user": tried(syscall.Unshare(syscall.CLONE_NEWUSER)),
		"unshare mount": tried(syscall.Unshare(syscall.CLONE_NEWNS)), "bpf": called(bpf, 0, 0, 0), "keyctl": called(keyctl, 0, 0, 0),
		"setuid": tried(syscall.Setuid(0)), "setgid": tried(syscall.Setgid(0)), "chroot": tried(syscall.Chroot("/")),
		"raw": socketOf(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP), "packet": socketOf(syscall.AF_PACKET, syscall.SOCK_RAW, 0),
		"sysctl": opened("/proc/sys/kernel/hostname", write), "sysrq": opened("/proc/sysrq-trigger", write), "core pattern": opened("/proc/sys/kernel/core_pattern", write),
		"memory": opened("/dev/mem", os.O_RDONLY), "device": tried(syscall.Mknod("/tmp/device", syscall.S_IFBLK|0o600, 8<<8)), "own program": opened("/proc/self/exe", os.O_RDWR),
	}
}

func forge() {
	body := []byte(fmt.Sprintf(`{"type": "result", "id": %q, "output": "forged"}`, os.Getenv("FAAS_INVOCATION_ID")))
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	for descriptor := 0; descriptor < 300; descriptor++ {
		syscall.Write(descriptor, frame)
	}
	time.Sleep(10 * time.Minute)
}

func lock() {
	var mutex sync.Mutex
	mutex.Lock()
	mutex.Lock()
}

func answer(value any) {
	json.NewEncoder(os.Stdout).Encode(value)
}

func main() {
	raw, _ := io.ReadAll(os.Stdin)
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		os.Exit(91)
	}
	switch e.Mode {
	case "ok":
		answer(1)

	case "busy":
		forever()
	case "sleeps":
		time.Sleep(10 * time.Minute)
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		time.Sleep(10 * time.Minute)
	case "deadlock":
		lock()
	case "regex":
		answer(regexp.MustCompile(`^(a+)+$`).MatchString(strings.Repeat("a", 60) + "b"))

	case "fork_bomb":
		for {
			child("fork_bomb").Start()
		}
	case "forks_to_the_limit":
		answer(untilRefused(func(int) error {
			command := exec.Command("sleep", "600")
			command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			return command.Start()
		}))
	case "thread_bomb":
		for {
			go func() { time.Sleep(10 * time.Minute) }()
		}
	case "daemon":
		command := exec.Command("sleep", "600")
		command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		command.Start()
		answer("answered")

	case "eats":
		eat()
	case "child_eats":
		answer(child("eats").Run().Error())
	case "child_eats_and_it_fails":
		panic(child("eats").Run())
	case "fills":
		file, _ := os.Create(e.Place + "/full")
		answer(untilRefused(func(int) error { _, err := file.Write(make([]byte, 1<<20)); return err }))
	case "inodes":
		answer(untilRefused(func(n int) error {
			file, err := os.Create(fmt.Sprintf("/tmp/file-%d", n))
			file.Close()
			return err
		}))
	case "opens":
		answer(untilRefused(func(int) error { _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); return err }))
	case "sparse":
		os.WriteFile("/tmp/sparse", nil, 0o600)
		os.Truncate("/tmp/sparse", 1<<42)
		info, _ := os.Stat("/tmp/sparse")
		answer(info.Sys().(*syscall.Stat_t).Blocks)

	case "floods":
		line := []byte(strings.Repeat("\x1b[31m\xff\x00x", 8192))
		for n := 0; n < 256; n++ {
			os.Stdout.Write(line)
			os.Stderr.Write(line)
		}
		os.NewFile(3, "result").WriteString(`"flooded"`)
	case "long_line":
		block := []byte(strings.Repeat("x", 1<<20))
		for n := 0; n < 1024; n++ {
			os.Stderr.Write(block)
		}
		answer("printed")
	case "forges":
		forge()
	case "returns":
		os.Stdout.WriteString(map[string]string{
			"huge": strings.Repeat("x", 7<<20), "cyclic": "[[", "nan": "NaN", "deep": strings.Repeat("[", 900) + strings.Repeat("]", 900), "nul": "a\x00b",
		}[e.What])

	case "exits":
		os.Exit(e.Code)
	case "aborts":
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
		time.Sleep(10 * time.Minute)
	case "crashes":
		var nothing *event
		fmt.Println(nothing.Mode)
	case "kills_init":
		syscall.Kill(1, syscall.Signal(e.Signal))
		time.Sleep(time.Duration(e.Seconds * float64(time.Second)))
		answer("lives")
	case "closes":
		for n := 0; n < 3; n++ {
			syscall.Close(n)
		}
	case "crashes_late":
		time.Sleep(time.Duration(e.Seconds * float64(time.Second)))
		os.Exit(7)

	case "searches":
		answer(search(e.Marks))
	case "overwrites":
		answer(overwrite(e.Agent))
	case "links":
		answer(link())
	case "kernel":
		answer(kernel())
	default:
		os.Exit(92)
	}
}
