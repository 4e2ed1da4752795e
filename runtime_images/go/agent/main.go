// The agent of the Go runtime: starts the function's program for each call, for the host that it is connected to.
//
// Usage: agent EXCHANGE
//
// EXCHANGE is a folder with the socket `agent.sock`, the FIFOs `stdout` and `stderr`, and the folder `code` with the program `main`.
// The frames are described in faas/sandbox/protocol.py. It ends when the host closes the connection.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
)

const (
	resultBytes = 6 << 20
	// Escapes at most double a text that is JSON, so what takes more than this in a frame is over the limit as a result too.
	frameBytes = 15 << 20
	tailBytes  = 8 << 10
)

type initFrame struct {
	Environment  map[string]string `json:"environment"`
	FunctionName string            `json:"function_name"`
}

type callFrame struct {
	ID         string            `json:"id"`
	Headers    map[string]string `json:"headers"`
	DeadlineMS json.Number       `json:"deadline_ms"`
	Payload    json.RawMessage   `json:"payload"`
}

func (c callFrame) deadline() int64 {
	value, _ := c.DeadlineMS.Int64()
	return value
}

type answerFrame struct {
	Type    string  `json:"type"`
	ID      string  `json:"id,omitempty"`
	Output  *string `json:"output,omitempty"`
	Kind    string  `json:"kind,omitempty"`
	Message string  `json:"message,omitempty"`
	Code    *int    `json:"code,omitempty"`
	Signal  *int    `json:"signal,omitempty"`
}

func main() {
	// The program dies with the thread that started it: that must be the one that lives as long as the agent.
	runtime.LockOSThread()
	must(os.Chdir(os.Args[1]))
	host, err := net.Dial("unix", "agent.sock")
	must(err)
	streams := openStreams()
	send(host, answerFrame{Type: "hello"})
	in := bufio.NewReader(host)
	var function initFrame
	receive(in, &function)
	must(os.Chdir("code"))
	if _, err := os.Stat(program); err != nil {
		send(host, answerFrame{Type: "init_error", Message: "the program main is not there"})
		return
	}
	send(host, answerFrame{Type: "ready"})
	for {
		var call callFrame
		receive(in, &call)
		send(host, run(function, call, streams))
	}
}

func must(err error) {
	if err != nil {
		os.Stderr.WriteString("agent: " + err.Error() + "\n")
		os.Exit(1)
	}
}

// receive reads one frame. An agent whose host is gone has nothing to live for.
func receive(in io.Reader, into any) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		os.Exit(0)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(in, body); err != nil {
		os.Exit(0)
	}
	must(json.Unmarshal(body, into))
}

func send(host io.Writer, answer answerFrame) {
	body := encode(answer)
	if len(body) > frameBytes {
		body = encode(answerFrame{Type: "error", ID: answer.ID, Kind: "too_large"})
	}
	head := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := host.Write(append(head, body...)); err != nil {
		os.Exit(0)
	}
}

func encode(answer answerFrame) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(answer))
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

type streams struct {
	stdout, stderr *os.File
}

func openStreams() streams {
	stdout, err := os.OpenFile("stdout", os.O_WRONLY, 0)
	must(err)
	stderr, err := os.OpenFile("stderr", os.O_WRONLY, 0)
	must(err)
	return streams{stdout, stderr}
}

// environment is the program's: the agent's own, the function's, and this call's.
func environment(function initFrame, call callFrame) []string {
	all := os.Environ()
	for name, value := range function.Environment {
		all = append(all, name+"="+value)
	}
	for name, value := range call.Headers {
		if !strings.Contains(value, "\x00") {
			all = append(all, "FAAS_HEADER_"+variable(name)+"="+value)
		}
	}
	return append(all,
		"FAAS_INVOCATION_ID="+call.ID,
		"FAAS_FUNCTION_NAME="+function.FunctionName,
		"FAAS_DEADLINE_MS="+call.DeadlineMS.String(),
	)
}

// variable makes a header's name fit for the environment: upper case, with `_` for what is not a letter or digit.
func variable(header string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, header)
}
