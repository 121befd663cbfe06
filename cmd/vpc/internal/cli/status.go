package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

func (s *session) statusCommand() *cobra.Command {
	var wait bool
	cmd := verb("status", "Show whether the hosts are ready", "vpc status\nvpc status --wait --timeout 1m", args(0, 0),
		func(*cobra.Command, []string) error { return s.status(wait) })
	cmd.Long = "Show whether the hosts are ready. Exit code 0: the store is open, the last pass succeeded and every\n" +
		"program is attached. 7: no daemon. 10: starting, degraded, or the brake is on.\n" +
		"Workloads that are away do not count: they are named below the hosts. The interface of one that\n" +
		"will not come back is kept for it until `vpc detach`, unless its container is known to be removed."
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until they are")
	return cmd
}

// status prints the table in either case: the reasons are what one looks for.
func (s *session) status(wait bool) error {
	res, err := s.hosts()
	if wait {
		res, err = s.waitReady(res, err)
	}
	if err != nil {
		return doing("ask for the status", err)
	}
	if err := s.emit(res, hostNames(res), func() { s.printHosts(res); s.printAway() }); err != nil {
		return err
	}
	if !ready(res) {
		return negative{exitNegative}
	}
	return nil
}

func (s *session) hosts() (*api.DescribeHostsResult, error) {
	return ask[api.DescribeHostsResult](s, "DescribeHosts", &api.DescribeHostsRequest{})
}

// waitReady asks until all hosts are ready or the time is up, and returns the
// last full answer. It waits for a daemon that does not listen yet, too.
func (s *session) waitReady(res *api.DescribeHostsResult, err error) (*api.DescribeHostsResult, error) {
	defer s.statusLine("waiting for the hosts …")()
	for {
		if err == nil && ready(res) {
			return res, nil
		}
		if err != nil && !errors.Is(err, client.ErrNoDaemon) {
			return nil, err
		}
		if s.pause(pollPause) != nil {
			return res, err
		}
		next, nextErr := s.hosts()
		if s.until.Err() != nil {
			return res, err
		}
		res, err = next, nextErr
	}
}

// ready tells whether there is a host and all are ready.
func ready(res *api.DescribeHostsResult) bool {
	for _, h := range res.Hosts {
		if h.State != api.HostStateReady || !api.Val(h.Ready) {
			return false
		}
	}
	return len(res.Hosts) > 0
}

func hostNames(res *api.DescribeHostsResult) (names []string) {
	for _, h := range res.Hosts {
		names = append(names, h.HostName)
	}
	return names
}

func (s *session) printHosts(res *api.DescribeHostsResult) {
	t := &table{head: []string{"HOST", "STATE", "WORKLOADS", "SUBNETS", "APPLIED", "STORE", "REASONS", "MTU", "KERNEL", "VERSION", "LAST PASS"}, wide: 7}
	for i := range res.Hosts {
		h := &res.Hosts[i]
		t.add(h.HostName, h.State, number(h.Workloads), number(h.Subnets), number(h.AppliedRevision), number(h.StoreRevision),
			oneLine(h.Reasons), number(h.Mtu), h.KernelRelease, h.Version, timeText(h.LastPassTime))
	}
	s.print(t)
}

// oneLine joins reasons, each of which may have come in several lines.
func oneLine(reasons []string) string {
	var all []string
	for _, r := range reasons {
		all = append(all, strings.FieldsFunc(r, func(c rune) bool { return c == '\n' })...)
	}
	return strings.Join(all, "; ")
}

// maxAway bounds how many workloads one line names.
const maxAway = 10

// printAway names the workloads whose interface the kernel does not have: they
// are away, or about to come. Hosts are ready without them, so this is no
// reason, and like names it is best effort.
func (s *session) printAway() {
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{})
	if err != nil {
		return
	}
	workloads := map[string]string{}
	away := map[string]bool{}
	for i := range res.NetworkInterfaces {
		e := &res.NetworkInterfaces[i]
		if !isDown(e) {
			continue
		}
		if len(away) == 0 {
			workloads = s.workloads()
		}
		away[workloadOf(e, workloads)] = true
	}
	names := sortedKeys(away)
	switch rest := len(names) - maxAway; {
	case len(names) == 0:
	case rest > 0:
		s.say("%d workloads are away: %s and %d more", len(names), strings.Join(names[:maxAway], ", "), rest)
	case len(names) == 1:
		s.say("1 workload is away: %s", names[0])
	default:
		s.say("%d workloads are away: %s", len(names), strings.Join(names, ", "))
	}
}

func timeText(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
