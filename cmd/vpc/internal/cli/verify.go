package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) verifyCommand() *cobra.Command {
	var host string
	cmd := verb("verify", "Compare store, plan and kernel", "vpc verify", args(0, 0),
		func(*cobra.Command, []string) error { return s.verify(host) })
	cmd.Long = "Compare store, plan and kernel, map contents included. Exit code 10 when they differ.\n" +
		"A difference that is there again after 5 s is one that vpcd could not repair. What a workload does\n" +
		"to its own interface, such as taking it down, is one until it is repaired."
	cmd.Flags().StringVar(&host, "host", "", "the host to look at (default: this one)")
	return cmd
}

// verify fails when there is a difference, for scripts; it mends nothing.
func (s *session) verify(host string) error {
	res, err := ask[api.VerifyHostResult](s, "VerifyHost", &api.VerifyHostRequest{HostName: host})
	if err != nil {
		return doing("verify", err)
	}
	t := &table{head: []string{"KIND", "OBJECT", "WANT", "HAVE"}}
	var objects []string
	for _, d := range res.Drifts {
		objects = append(objects, d.Object)
		want, have := differing(d.Want, d.Have)
		t.add(d.Kind, d.Object, want, have)
	}
	if err := s.emit(res, objects, func() {
		if len(res.Drifts) == 0 {
			s.say("clean: the kernel is as the store says")
			return
		}
		s.print(t)
	}); err != nil {
		return err
	}
	if !api.Val(res.Clean) || len(res.Drifts) > 0 {
		return negative{exitNegative}
	}
	return nil
}

// maxCell bounds what a cell shows of a value, characters.
const maxCell = 100

// differing is of two values what fits a table: of texts of several lines, such as
// a firewall's, the first line that is not in both. -o json has them whole.
func differing(want, have string) (w, h string) {
	if strings.ContainsRune(want+have, '\n') {
		want, have = differingLine(want, have)
	}
	return shortened(want), shortened(have)
}

func differingLine(want, have string) (w, h string) {
	a, b := strings.Split(want, "\n"), strings.Split(have, "\n")
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	line := func(all []string) string {
		if same >= len(all) || strings.Join(all, "") == "" {
			return ""
		}
		return fmt.Sprintf("line %d of %d: %s", same+1, len(all), strings.TrimSpace(all[same]))
	}
	return line(a), line(b)
}

func shortened(text string) string {
	if r := []rune(text); len(r) > maxCell {
		return string(r[:maxCell]) + " …"
	}
	return text
}
