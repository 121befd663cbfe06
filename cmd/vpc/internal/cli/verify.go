package cli

import (
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
		t.add(d.Kind, d.Object, d.Want, d.Have)
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
