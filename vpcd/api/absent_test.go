package api

import "testing"

// TestAbsent: what is built is not said to be absent, and no action is so twice.
func TestAbsent(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Absent() {
		for _, action := range a.Actions {
			if _, built := Actions[action]; built || seen[action] || !IsAbsent(action) {
				t.Errorf("%s of %s: built %t, twice %t", action, a.Resource, built, seen[action])
			}
			seen[action] = true
		}
	}
	if !seen["CreateVpcEndpoint"] || IsAbsent("CreateVpc") || IsAbsent("MakeCoffee") || IsAbsent("") {
		t.Errorf("%d actions are absent", len(seen))
	}
}
