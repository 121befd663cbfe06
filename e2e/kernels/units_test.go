package kernels

import (
	"bytes"
	"strings"
	"testing"
)

func TestArchive(t *testing.T) {
	var b bytes.Buffer
	a := newArchive(&b)
	a.File("/a/b/c", []byte("hello"))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if b.Len()%4 != 0 {
		t.Errorf("%d bytes, not a multiple of four", b.Len())
	}
	at := 0
	for _, want := range []string{"a\x00", "a/b\x00", "a/b/c\x00", "hello\x00", "TRAILER!!!\x00"} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %q after byte %d of %q", want, at, text)
		}
		at += i
	}
}

// TestReadConsole gives consoles that must not pass, one defect each.
func TestReadConsole(t *testing.T) {
	const good = "noise\r\n@@guest kernel 6.1.0\r\n@@guest run bpf\r\n=== RUN TestA\r\n--- PASS: TestA (0.0s)\r\n    --- SKIP: TestA/x (0.0s)\r\n@@guest done bpf 1.0s ok\r\n@@guest end ok\r\n"
	r := read(good)
	if err := r.err(); err != nil || r.release != "6.1.0" || r.tests[0].pass != 1 || r.tests[0].skip != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	for what, bad := range map[string]string{
		"empty":      "",
		"died":       strings.Replace(good, "@@guest end ok", "Kernel panic", 1),
		"failed":     strings.Replace(good, "1.0s ok", "1.0s exit status 1", 1),
		"no outcome": strings.Replace(good, "@@guest done", "@@gu", 1),
		"no tests":   "@@guest kernel 6.1.0\n@@guest end ok\n",
	} {
		if read(bad).err() == nil {
			t.Errorf("%s: taken as a success", what)
		}
	}
}
