package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestOutcomes: the host learns how each binary ended, on one line, also when
// it never began.
func TestOutcomes(t *testing.T) {
	for argv, want := range map[string]string{
		"/bin/sh -c true":                 `done name \d+\.\ds ok`,
		"/bin/sh -c kill${IFS}-9${IFS}$$": `done name \d+\.\ds signal: killed`,
		"/bin/sh -c false":                `done name \d+\.\ds exit status 1`,
		"/no/such/binary":                 `done name \d+\.\ds .*no such file`,
	} {
		var out strings.Builder
		console = &out
		test(append([]string{"name", "/"}, strings.Fields(argv)...))
		if !strings.Contains(out.String(), "\n"+Mark+"run name\n") || !regexp.MustCompile(`(?m)^`+Mark+want).MatchString(out.String()) {
			t.Errorf("%s: said %q, want %s", argv, &out, want)
		}
	}
}
