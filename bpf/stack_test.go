package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const (
	// maxStack is what all frames of a chain of calls may take together.
	maxStack = 512
	// frameUnit is how Linux 6.1 rounds each frame; later kernels round less.
	frameUnit = 32
)

// function is one function of an object: its frame in bytes, and whom it calls
// or hands to a helper as a callback.
type function struct {
	frame int
	calls []string
}

// functions reads the frames from the instructions: the lowest offset from the
// frame pointer, in an access or in a pointer made from it.
func functions(p *ebpf.ProgramSpec) map[string]*function {
	out := map[string]*function{}
	var f *function
	copies := map[asm.Register]bool{}
	for _, ins := range p.Instructions {
		if name := ins.Symbol(); name != "" {
			f = &function{}
			out[name] = f
			clear(copies)
		}
		class := ins.OpCode.Class()
		switch {
		case ins.IsFunctionCall() || ins.IsLoadOfFunctionPointer():
			f.calls = append(f.calls, ins.Reference())
		case class == asm.LdXClass && ins.Src == asm.RFP, (class == asm.StClass || class == asm.StXClass) && ins.Dst == asm.RFP:
			f.frame = max(f.frame, -int(ins.Offset))
		case class == asm.ALU64Class && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.RegSource:
			copies[ins.Dst] = ins.Src == asm.RFP
		case class == asm.ALU64Class && ins.OpCode.ALUOp() == asm.Add && copies[ins.Dst]:
			f.frame = max(f.frame, -int(ins.Constant))
			delete(copies, ins.Dst)
		case class.IsLoad() || class.IsALU():
			delete(copies, ins.Dst)
		}
	}
	return out
}

// deepest is the chain below name that takes most, rounded as Linux 6.1 does.
func deepest(all map[string]*function, name string) (int, []string) {
	var best int
	var chain []string
	for _, callee := range all[name].calls {
		if n, c := deepest(all, callee); n > best {
			best, chain = n, c
		}
	}
	own := (max(all[name].frame, 1) + frameUnit - 1) / frameUnit * frameUnit
	return own + best, append([]string{name}, chain...)
}

func TestStackFitsOldKernels(t *testing.T) {
	for object, load := range map[string]func() (*ebpf.CollectionSpec, error){
		"from_eni": LoadFromEni, "from_peer": LoadFromPeer, "from_edge": LoadFromEdge, "from_uplink": LoadFromUplink, "sweep": LoadSweep,
	} {
		c, err := load()
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range c.Programs {
			all := functions(p)
			n, chain := deepest(all, name)
			for _, f := range chain {
				t.Logf("%s: %s takes %d bytes", object, f, all[f].frame)
			}
			if n > maxStack {
				t.Errorf("%s: %d bytes of stack on Linux 6.1, more than %d: %s", object, n, maxStack, strings.Join(chain, " > "))
			}
		}
	}
}

// TestStackMeter shows that the meter sees frames, calls and callbacks.
func TestStackMeter(t *testing.T) {
	prog := &ebpf.ProgramSpec{Instructions: asm.Instructions{
		asm.StoreMem(asm.RFP, -40, asm.R1, asm.DWord).WithSymbol("main"),
		asm.Call.Label("leaf"),
		asm.Return(),
		asm.Mov.Reg(asm.R2, asm.RFP).WithSymbol("leaf"),
		asm.Add.Imm(asm.R2, -100),
		asm.Return(),
	}}
	n, chain := deepest(functions(prog), "main")
	if n != 64+128 || !slices.Equal(chain, []string{"main", "leaf"}) {
		t.Errorf("measured %d bytes by %v, planted 64 + 128 by main > leaf", n, chain)
	}
}
