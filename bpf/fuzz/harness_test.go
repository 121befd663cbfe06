package fuzz

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Kinds of requests, enum op of harness.c.
const (
	opClear = iota + 1
	opPut
	opDelete
	opFrame
	opQuestion
	opFragment
	opFlush
)

var (
	ne = binary.NativeEndian // of what the structs hold in the machine's order
	be = binary.BigEndian
)

// mostAnswers may be on their way: they fit into a pipe, so neither side waits
// for the other.
const mostAnswers = 512

// harness is one process that answers requests. A request that ends it fails
// the test with what the sanitizer says.
type harness struct {
	t      testing.TB
	cmd    *exec.Cmd
	to     *bufio.Writer
	in     io.Closer
	from   *bufio.Reader
	said   bytes.Buffer // its stderr; read after its end
	served uint64
	ended  bool
}

// compiled is the harness's binary: one for all tests of a process.
var compiled struct {
	sync.Once
	dir     string
	command []string
	err     error
}

var errNoCompiler = errors.New("no C compiler with sanitizers here: install gcc and libc6-dev, or name one with CC")

func TestMain(m *testing.M) {
	code := m.Run()
	if compiled.dir != "" {
		_ = os.RemoveAll(compiled.dir)
	}
	os.Exit(code)
}

var cflags = []string{
	"-g", "-O1", "-Wall", "-Wno-unknown-pragmas", "-fno-strict-aliasing", "-fno-omit-frame-pointer",
	"-fsanitize=address,undefined", "-fno-sanitize-recover=all",
}

func compile(compiler, to string, source ...string) ([]byte, error) {
	return exec.Command(compiler, append(append(cflags[:len(cflags):len(cflags)], "-o", to), source...)...).CombinedOutput()
}

// still runs a program at addresses that are not random, where that can be done:
// older sanitizers cannot live with as much randomness as some kernels give.
func still(binary string) []string {
	if exec.Command("setarch", "-R", binary).Run() == nil {
		return []string{"setarch", "-R", binary}
	}
	return []string{binary}
}

// findCompiler takes the first that builds a program which then runs: some are
// installed without the sanitizers' libraries.
func findCompiler(dir string) (string, error) {
	probe := filepath.Join(dir, "probe.c")
	program := "#include <sanitizer/asan_interface.h>\n#include <bpf/bpf_endian.h>\nint main(void) { return 0; }\n"
	if err := os.WriteFile(probe, []byte(program), 0o644); err != nil {
		return "", err
	}
	for _, name := range []string{os.Getenv("CC"), "gcc", "clang-14", "clang", "cc"} {
		binary := filepath.Join(dir, "probe")
		if name == "" {
			continue
		}
		if _, err := compile(name, binary, probe); err != nil {
			continue
		}
		if run := still(binary); exec.Command(run[0], run[1:]...).Run() == nil {
			return name, nil
		}
	}
	return "", errNoCompiler
}

func build() (err error) {
	if compiled.dir, err = os.MkdirTemp("", "vpc-fuzz-"); err != nil {
		return err
	}
	compiler, err := findCompiler(compiled.dir)
	if err != nil {
		return err
	}
	binary := filepath.Join(compiled.dir, "harness")
	if out, err := compile(compiler, binary, "-Ishim", "harness.c"); err != nil {
		return fmt.Errorf("%s: %w\n%s", compiler, err, out)
	}
	compiled.command = still(binary) // without requests it ends at once
	return nil
}

// start launches a harness for one test.
func start(t testing.TB) *harness {
	t.Helper()
	h := launch(t)
	t.Cleanup(h.stop)
	return h
}

func launch(t testing.TB) *harness {
	t.Helper()
	compiled.Do(func() { compiled.err = build() })
	if errors.Is(compiled.err, errNoCompiler) && os.Getenv("CI") != "true" {
		t.Skip(compiled.err)
	}
	if compiled.err != nil {
		t.Fatal(compiled.err)
	}
	h := &harness{t: t, cmd: exec.Command(compiled.command[0], compiled.command[1:]...)}
	// What is still in the maps at the end is no leak. A little of what was freed
	// is kept unused: enough for a program that reads what it has deleted.
	h.cmd.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4", "UBSAN_OPTIONS=print_stacktrace=1")
	h.cmd.Stderr = &h.said
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.in, h.to, h.from = in, bufio.NewWriterSize(in, 1<<16), bufio.NewReaderSize(out, 1<<16)
	return h
}

func (h *harness) stop() {
	if h.ended {
		return
	}
	_ = h.in.Close()
	_, _ = io.Copy(io.Discard, h.from)
	if err := h.cmd.Wait(); err != nil && !h.t.Failed() {
		h.t.Errorf("the harness: %v\n%s", err, h.said.Bytes())
	}
}

// died reports the end of the process, which comes while it is written to or
// read from.
func (h *harness) died(err error) {
	h.t.Helper()
	h.ended = true
	_ = h.in.Close()
	_, _ = io.Copy(io.Discard, h.from)
	h.t.Fatalf("the harness ended (%v, %v); this process has sent it %d requests\n%s", err, h.cmd.Wait(), h.served, h.said.Bytes())
}

// ask sends a request of fixed-size values and slices of them.
func (h *harness) ask(op uint32, parts ...any) {
	h.t.Helper()
	size := 0
	for _, p := range parts {
		size += binary.Size(p)
	}
	b := ne.AppendUint32(ne.AppendUint32(make([]byte, 0, 8+size), op), uint32(size))
	for _, p := range parts {
		if raw, ok := p.([]byte); ok {
			b = append(b, raw...)
			continue
		}
		var err error
		if b, err = binary.Append(b, ne, p); err != nil {
			h.t.Fatal(err)
		}
	}
	h.served++
	if _, err := h.to.Write(b); err != nil {
		h.died(err)
	}
}

// flush sends what was asked; after it the answers can be read.
func (h *harness) flush() {
	h.t.Helper()
	h.ask(opFlush)
	if err := h.to.Flush(); err != nil {
		h.died(err)
	}
}

// answer reads the next answer into a fixed-size struct.
func (h *harness) answer(to any) {
	h.t.Helper()
	if err := binary.Read(h.from, ne, to); err != nil {
		h.died(err)
	}
}

// put writes an element of one of the programs' maps; remove deletes it.
func (h *harness) put(name string, key, value any) { h.ask(opPut, mapName(name), key, value) }
func (h *harness) remove(name string, key any)     { h.ask(opDelete, mapName(name), key) }

func mapName(name string) []byte {
	b := make([]byte, 16)
	copy(b, name)
	return b
}

// dice make what the tests ask.
type dice struct{ *rand.Rand }

// roll makes dice from a seed that SEED sets and the log names. Tests take
// different streams of it.
func roll(t *testing.T, stream uint64) dice {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SEED=%d", seed)
	return dice{rand.New(rand.NewPCG(seed, stream))}
}

// some is one of the values.
func some[T any](d dice, values ...T) T { return values[d.IntN(len(values))] }

// count is how many cases a test tries: many for VPC_SOAK=1, few for -short.
func count(normal int) int {
	switch {
	case os.Getenv("VPC_SOAK") == "1":
		return normal * 100
	case testing.Short():
		return normal / 10
	}
	return normal
}
