package progs

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
)

// Probe reports why this kernel would not load the programs; it leaves nothing
// behind.
func Probe() error {
	for _, t := range []ebpf.ProgramType{ebpf.SchedCLS, ebpf.Syscall} {
		if err := features.HaveProgramType(t); err != nil {
			return fmt.Errorf("programs of type %s: %w", t, err)
		}
	}
	return nil
}
