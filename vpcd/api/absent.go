package api

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed model/absent.txt
var absentText string

// AbsentActions are EC2's actions on one kind of resource that are not built.
type AbsentActions struct {
	Resource string
	Actions  []string
}

// Absent lists what EC2 has for VPCs and Actions has not, in the order of
// model/absent.txt.
func Absent() []AbsentActions {
	var out []AbsentActions
	for line := range strings.Lines(absentText) {
		if words := strings.Fields(line); len(words) > 1 && words[0] != "#" {
			out = append(out, AbsentActions{words[0], words[1:]})
		}
	}
	return out
}

// IsAbsent says whether EC2 has an action of this name that is not built.
func IsAbsent(action string) bool {
	return slices.ContainsFunc(Absent(), func(a AbsentActions) bool { return slices.Contains(a.Actions, action) })
}
