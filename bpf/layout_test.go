package bpf

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// TestConstants compares the numbers that Go repeats with the headers they
// come from.
func TestConstants(t *testing.T) {
	header := read(t, "lib/types.h") + read(t, "lib/lists.h") + read(t, "lib/adopt.h")
	for name, want := range map[string]uint64{
		"PORT_BASE": PortBase, "MAX_PORTS": MaxPorts,
		"ADOPTIONS": Adoptions, "EDGE_ENI": EdgeENI, "WORD_RULES": WordRules, "MAX_WORDS": MaxWords, "INLINE_SEGMENTS": InlineSegments, "CHUNK_SEGMENTS": ChunkSegments,
	} {
		m := regexp.MustCompile(`(?m)^#define ` + name + `\s+(\S+)`).FindStringSubmatch(header)
		if m == nil {
			t.Errorf("the headers do not define %s", name)
			continue
		}
		if got, err := strconv.ParseUint(m[1], 0, 64); err != nil || got != want {
			t.Errorf("%s is %s in C and %#x in Go", name, m[1], want)
		}
	}
}

// TestLayouts: the structs that Go reads and writes are as large as the
// object's own, so no padding is lost between them.
func TestLayouts(t *testing.T) {
	c, err := LoadFromEni()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]any{
		"port": Port{}, "port_stats": PortStats{}, "flow_usage": FlowUsage{}, "endpoint_key": EndpointKey{}, "endpoint": Endpoint{},
		"route_key": RouteKey{}, "route": Route{}, "list_key": ListKey{}, "list": List{}, "rule_word": RuleWord{},
		"addr_segment": AddrSegment{}, "addr_chunk": AddrChunk{}, "service_chunk": ServiceChunk{}, "member_key": MemberKey{}, "member": Member{},
		"bitmap": Bitmap{}, "hit_key": HitKey{}, "hit_count": HitCount{}, "frag_table": FragTable{}, "denied_table": DeniedTable{},
		"flow_key": FlowKey{}, "flow": Flow{}, "flow_slot": FlowSlot{}, "host_state": HostState{},
		"drop_key": DropKey{}, "drop_count": DropCount{},
	} {
		var s *btf.Struct
		if err := c.Types.TypeByName(name, &s); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := binary.Size(v); got != int(s.Size) {
			t.Errorf("%s: %d bytes in Go, %d in C", name, got, s.Size)
		}
	}
	var flow *btf.Struct
	if err := c.Types.TypeByName("flow", &flow); err != nil {
		t.Fatal(err)
	}
	if flow.Size > 128 {
		t.Errorf("a flow takes %d bytes, more than 128", flow.Size)
	}
	for _, m := range flow.Members {
		if hot := m.Name == "key" || m.Name == "state" || m.Name == "born" || m.Name == "last_seen"; hot && m.Offset.Bytes() >= 56 {
			t.Errorf("%s is at byte %d: it is read for every packet and belongs to the front", m.Name, m.Offset.Bytes())
		}
	}
}

func TestNames(t *testing.T) {
	c, err := LoadFromEni()
	if err != nil {
		t.Fatal(err)
	}
	for enum, names := range map[string]map[uint8]string{"drop_reason": reasons, "drop_stage": stages} {
		var e *btf.Enum
		if err := c.Types.TypeByName(enum, &e); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, v := range e.Values {
			_, short, _ := strings.Cut(v.Name, "_")
			if got := names[uint8(v.Value)]; got != strings.ToLower(short) {
				t.Errorf("%s is shown as %q", v.Name, got)
			}
			if seen[short] {
				t.Errorf("%s has two numbers", v.Name)
			}
			seen[short] = true
		}
		if len(names) != len(e.Values) {
			t.Errorf("%s: %d names for %d values", enum, len(names), len(e.Values))
		}
	}
	if got := ReasonName(250); got != "unknown_250" {
		t.Errorf("a number without a name is shown as %q", got)
	}
}

// TestGeneratedIsFresh compiles again in a copy and compares.
func TestGeneratedIsFresh(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles C")
	}
	if _, err := exec.LookPath("clang-14"); err != nil {
		t.Skip("needs clang-14: the objects of another clang differ byte by byte")
	}
	root := t.TempDir()
	for _, f := range []string{"../go.mod", "../go.sum"} {
		copyFile(t, f, filepath.Join(root, filepath.Base(f)))
	}
	dir := filepath.Join(root, "bpf")
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "generate", "./bpf")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go generate: %v\n%s", err, out)
	}
	for _, pattern := range []string{"*_bpfel.go", "*_bpfel.o"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) != 5 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, f := range files {
			if read(t, f) != read(t, filepath.Join(dir, f)) {
				t.Errorf("%s does not match its source: run go generate ./bpf", f)
			}
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, []byte(read(t, from)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
