package cloudkernel

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNewest(t *testing.T) {
	name := nameOf("6.1")
	got := newest(name, []string{"linux-image-6.1.0-9-cloud-amd64", "/a/linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb", "linux-image-6.12.1-cloud-amd64", "linux-image-6.1.0-47-cloud-amd64"})
	if got != "/a/linux-image-6.1.0-56-cloud-amd64_6.1.192-2_amd64.deb" {
		t.Errorf("newest is %q", got)
	}
	if got := newest(name, []string{"linux-image-6.12.1-cloud-amd64"}); got != "" {
		t.Errorf("found %q where there is none", got)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"linux-image-6.12.43+deb12-cloud-amd64":                     true,
		"linux-image-6.1.0-9-cloud-amd64_6.1.27-1_amd64.deb":        true,
		"linux-image-6.1.0-9-cloud-amd64-dbg":                       false,
		"linux-image-6.1.0-9-cloud-amd64-unsigned_6.1.27_amd64.deb": false,
		"linux-image-cloud-amd64":                                   false,
		"linux-image-6.1.0-9-amd64":                                 false,
	} {
		if got := nameOf("").MatchString(name); got != want {
			t.Errorf("%s: taken %t", name, got)
		}
	}
}

// elfWith is the least that a module's reader needs: one section .modinfo.
func elfWith(info string) []byte {
	const header, section = 64, 64
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	text := uint64(header)
	put([]uint16{1, 62})
	put(uint32(1))
	put([]uint64{0, 0, text + uint64(len(info)+len(names))})
	put(uint32(0))
	put([]uint16{header, 0, 0, section, 3, 2})
	b.WriteString(info + names)
	head := func(name, kind uint32, offset, size uint64) {
		put([]uint32{name, kind})
		put([]uint64{0, 0, offset, size})
		put([]uint32{0, 0})
		put([]uint64{1, 0})
	}
	head(0, 0, 0, 0)
	head(1, 1, text, uint64(len(info)))
	head(10, 3, text+uint64(len(info)), uint64(len(names)))
	return b.Bytes()
}

// TestModules: what a module needs comes first and once, what is built in not
// at all, and what is missing is an error.
func TestModules(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, needs := range map[string]string{"a": "b-1,built", "b-1": "c", "c": "", "d": "c", "lost": "nowhere"} {
		write("kernel/"+name+".ko", string(elfWith("license=GPL\x00depends="+needs+"\x00")))
	}
	write("modules.builtin", "kernel/built.ko\n")
	var got []string
	mods, err := Image{modules: dir}.Modules([]string{"a", "d"})
	for _, m := range mods {
		got = append(got, m.Name)
	}
	if err != nil || !slices.Equal(got, []string{"c", "b_1", "a", "d"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := (Image{modules: dir}).Modules([]string{"lost"}); err == nil || !strings.Contains(err.Error(), "nowhere, which lost needs") {
		t.Errorf("a module that needs what is not there: %v", err)
	}
}
