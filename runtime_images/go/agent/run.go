package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
	"unsafe"
)

const program = "./main"

// How long a pipe may stay open after the end of the program's process group: only a process that left the group can hold it.
const lingering = time.Second

// run starts the program once, and says what became of it.
func run(function initFrame, call callFrame, log streams) answerFrame {
	resultIn, resultOut, err := os.Pipe()
	must(err)
	defer resultIn.Close()
	output := &held{log: log.stdout}
	errors := &tail{}
	command := exec.Command(program)
	command.Env = environment(function, call)
	command.Stdin = bytes.NewReader(call.Payload)
	command.Stdout = output
	command.Stderr = io.MultiWriter(log.stderr, errors)
	command.ExtraFiles = []*os.File{resultOut}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.WaitDelay = lingering
	err = command.Start()
	resultOut.Close()
	if err != nil {
		return answerFrame{Type: "error", ID: call.ID, Kind: "exit", Message: "the program can't be started: " + err.Error()}
	}
	special := &capped{onFirst: output.release}
	var reading sync.WaitGroup
	reading.Add(1)
	go func() {
		defer reading.Done()
		io.Copy(special, resultIn)
	}()
	// The host kills this sandbox soon after the deadline: what was printed must be in the log by then.
	late := time.AfterFunc(time.Until(time.UnixMilli(call.deadline())), output.release)
	waitFor(command.Process.Pid)
	syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	command.Wait()
	late.Stop()
	resultIn.SetReadDeadline(time.Now().Add(lingering))
	reading.Wait()
	if status := command.ProcessState.Sys().(syscall.WaitStatus); status != 0 {
		output.release()
		return ended(call.ID, status, errors.text())
	}
	if special.total > 0 {
		return result(call.ID, special)
	}
	return result(call.ID, &output.capped)
}

// waitFor blocks until the process has ended, and leaves it to be waited for: its id, and so its group's, can't be reused meanwhile.
func waitFor(pid int) {
	const exited, noWait, byPid = 4, 0x1000000, 1
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPid, uintptr(pid), uintptr(unsafe.Pointer(&info)), exited|noWait, 0, 0)
		if errno != syscall.EINTR {
			return
		}
	}
}

func ended(id string, status syscall.WaitStatus, message string) answerFrame {
	answer := answerFrame{Type: "error", ID: id, Kind: "exit", Message: message}
	if status.Signaled() {
		number := int(status.Signal())
		answer.Signal = &number
	} else {
		code := status.ExitStatus()
		answer.Code = &code
	}
	return answer
}

func result(id string, from *capped) answerFrame {
	if from.total > resultBytes+1 { // one more for a last newline, which is no part of a text
		return answerFrame{Type: "error", ID: id, Kind: "too_large"}
	}
	if !utf8.Valid(from.kept.Bytes()) {
		return answerFrame{Type: "error", ID: id, Kind: "invalid_result", Message: "The output is not UTF-8."}
	}
	text := from.kept.String()
	return answerFrame{Type: "result", ID: id, Output: &text}
}

// capped keeps the first bytes and counts all.
type capped struct {
	kept    bytes.Buffer
	total   int
	onFirst func()
}

func (c *capped) Write(data []byte) (int, error) {
	if c.total == 0 && len(data) > 0 && c.onFirst != nil {
		c.onFirst()
	}
	c.total += len(data)
	c.kept.Write(data[:min(len(data), resultBytes+1-c.kept.Len())])
	return len(data), nil
}

// held keeps what the program prints, which may be its result; once it is known to be log, it goes there.
type held struct {
	capped
	mutex    sync.Mutex
	log      io.Writer
	released bool
}

func (h *held) Write(data []byte) (int, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.released {
		h.log.Write(data)
	}
	return h.capped.Write(data)
}

func (h *held) release() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if !h.released {
		h.released = true
		h.log.Write(h.kept.Bytes())
	}
}

// tail keeps the last bytes.
type tail struct {
	kept []byte
}

func (t *tail) Write(data []byte) (int, error) {
	t.kept = append(t.kept, data[max(0, len(data)-tailBytes):]...)
	if len(t.kept) > 4*tailBytes {
		t.kept = append([]byte(nil), t.kept[len(t.kept)-tailBytes:]...)
	}
	return len(data), nil
}

func (t *tail) text() string {
	end := t.kept[max(0, len(t.kept)-tailBytes):]
	return string(bytes.TrimRight(bytes.ToValidUTF8(end, []byte("\uFFFD")), "\n"))
}
