package parity

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// differencesMax bounds testdata/differences.txt: beyond it the two are not alike.
const differencesMax = 41

// sequence is one part of testdata/sequences.txt.
type sequence struct {
	title string
	lines []string
}

func sequences(t *testing.T) []sequence {
	t.Helper()
	text, err := os.ReadFile("testdata/sequences.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []sequence
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "== "); ok {
			out = append(out, sequence{title: title})
		} else if line != "" && !strings.HasPrefix(line, "#") {
			last := &out[len(out)-1]
			last.lines = append(last.lines, line)
		}
	}
	return out
}

// TestSequencesUseEveryAction needs no other server.
func TestSequencesUseEveryAction(t *testing.T) {
	used := map[string]bool{}
	all := sequences(t)
	for _, s := range all {
		for _, line := range s.lines {
			action, _, _ := strings.Cut(line, " ")
			used[action] = true
		}
	}
	for _, action := range ec2Actions() {
		if !used[action] {
			t.Errorf("testdata/sequences.txt: no sequence has %s", action)
		}
	}
	if len(all) < 60 {
		t.Errorf("%d sequences, want 60", len(all))
	}
}

// TestLikeMoto sends every sequence to vpcd and to moto's server. Answers have
// the same elements with the same kinds of text, errors the same codes, except
// for what testdata/differences.txt lists.
func TestLikeMoto(t *testing.T) {
	moto := startMoto(t)
	w := newWorld(t)
	allowed := readAllowed(t)
	for i, s := range sequences(t) {
		reset(t, moto.url)
		ours, theirs := names{}, names{}
		us := w.as(fmt.Sprintf("%012d", 100+i))
		for _, line := range s.lines {
			if subnet, ok := strings.CutPrefix(line, "instance: "); ok {
				ours["primary"], ours["instance"], _ = w.attach(t, us.key, expand(t, subnet, ours), "netns:"+us.key)
				theirs["instance"] = runInstance(t, moto, expand(t, subnet, theirs))
				continue
			}
			c, _ := readCall(t, line)
			a, b := us.call(t, c.action, c.form(t, ours)), moto.call(t, c.action, c.form(t, theirs))
			for _, d := range compare(a, b) {
				if d = c.action + " " + d; !allowed.has(d) {
					t.Errorf("%s\n%s\n%s", s.title, c.line, d)
				}
			}
			if a.code() != "" || b.code() != "" {
				if len(c.keeps) > 0 {
					t.Errorf("%s: %s\nvpcd: %s\nmoto: %s", s.title, c.line, a.body, b.body)
					break
				}
				continue
			}
			c.keep(t, a, ours)
			c.keep(t, b, theirs)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(allowed.unused())) {
		t.Errorf("testdata/differences.txt: %q is none any more: take the line out", pattern)
	}
}

// compare lists how two answers to one call differ.
func compare(a, b answer) []string {
	ok := func(code string) string {
		if code == "" {
			return "ok"
		}
		return code
	}
	switch {
	case a.code() != b.code():
		return []string{"code " + ok(a.code()) + " " + ok(b.code())}
	case a.status != b.status:
		return []string{fmt.Sprintf("status %d %d", a.status, b.status)}
	case a.code() != "":
		return nil
	}
	return differences(shapeOf(a.root), shapeOf(b.root))
}

// startMoto runs moto's server on a port of its own, and skips where there is none.
func startMoto(t *testing.T) endpoint {
	t.Helper()
	program := findMoto()
	if program == "" {
		t.Skip("no moto_server: pip install 'moto[ec2,server]', or say where it is in VPC_MOTO")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	// A group of its own, as the program may be a script that starts another.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	awaitLine(t, output, "Running on")
	return endpoint{url: fmt.Sprintf("http://127.0.0.1:%d", port), key: "test", secret: "test", region: region}
}

func findMoto() string {
	if program := os.Getenv("VPC_MOTO"); program != "" {
		return program
	}
	if program, err := exec.LookPath("moto_server"); err == nil {
		return program
	}
	home, _ := os.UserHomeDir()
	for _, dir := range []string{".pyenv/shims", ".local/bin"} {
		if program := filepath.Join(home, dir, "moto_server"); exec.Command(program, "--help").Run() == nil {
			return program
		}
	}
	return ""
}

// awaitLine reads on after the line, so that the writer is never blocked.
func awaitLine(t *testing.T, r interface{ Read([]byte) (int, error) }, want string) {
	t.Helper()
	found := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if strings.Contains(lines.Text(), want) {
				select {
				case found <- true:
				default:
				}
			}
		}
		close(found)
	}()
	select {
	case ok := <-found:
		if !ok {
			t.Fatal("moto_server ended before it served")
		}
	case <-time.After(time.Minute):
		t.Fatal("moto_server does not serve after a minute")
	}
}

// reset gives moto's server the state it began with.
func reset(t *testing.T, at string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at+"/moto-api/reset", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func runInstance(t *testing.T, moto endpoint, subnet string) string {
	t.Helper()
	a := moto.call(t, "RunInstances", url.Values{"ImageId": {"ami-12c6146b"}, "MinCount": {"1"}, "MaxCount": {"1"}, "SubnetId": {subnet}})
	id := a.root.text1("instancesSet/item/instanceId")
	if id == "" {
		t.Fatalf("moto: %s", a.body)
	}
	return id
}
