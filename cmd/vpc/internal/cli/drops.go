package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) dropsCommand() *cobra.Command {
	var refs []string
	var follow bool
	cmd := verb("drops", "Show what was dropped, and why", "vpc drops\nvpc drops --eni web1 --follow", args(0, 0),
		func(*cobra.Command, []string) error {
			vpcID, err := s.scopeID()
			if err != nil {
				return err
			}
			ids, err := s.resolveAll(eniNoun, refs, vpcID)
			if err != nil {
				return err
			}
			if follow {
				return s.followDrops(ids)
			}
			return s.showDrops(ids)
		})
	cmd.Long = "Show counters of dropped packets by ENI, stage, reason and rule, since the host started. RULE is the id of a security group's rule, or the number of a network ACL's.\n\n" +
		"With --follow it prints what has been added, until interrupted, one table or result at a time."
	cmd.Flags().StringArrayVar(&refs, "eni", nil, "only this ENI, may be repeated")
	cmd.Flags().BoolVar(&follow, "follow", false, "keep printing what is added")
	s.completeFlag(cmd, "eni", eniNoun)
	return cmd
}

var dropHead = []string{"ENI", "STAGE", "REASON", "RULE", "PACKETS", "BYTES"}

func (s *session) drops(ids []string) (*api.DescribeDropsResult, error) {
	res, err := ask[api.DescribeDropsResult](s, "DescribeDrops", &api.DescribeDropsRequest{NetworkInterfaceIds: ids})
	return res, doing("read the drop counters", err)
}

// showDrops prints every counter that ever moved.
func (s *session) showDrops(ids []string) error {
	res, err := s.drops(ids)
	if err != nil {
		return err
	}
	names := s.dropNames()
	t := &table{head: dropHead}
	var enis []string
	for i := range res.Drops {
		enis = append(enis, res.Drops[i].NetworkInterfaceId)
		t.add(dropCells(&res.Drops[i], names)...)
	}
	return s.emit(res, enis, func() { s.print(t) })
}

func dropCells(d *api.Drop, names map[string]string) []string {
	at := firstOf(d.NetworkInterfaceId, d.InternetGatewayId)
	return []string{firstOf(names[at], at), d.Stage, d.Reason, dropRule(d), number(d.Packets), number(d.Bytes)}
}

// dropNames are those of all that counts drops.
func (s *session) dropNames() map[string]string {
	names := s.names(eniNoun)
	for id, name := range s.names(igwNoun) {
		if name != "" {
			names[id] = "igw:" + name
		}
	}
	return names
}

// dropRule shows the last entry of a network ACL as `vpc acl show` does.
func dropRule(d *api.Drop) string {
	if d.Reason == "network_acl" && d.RuleId == strconv.Itoa(lastEntry) {
		return "*"
	}
	return d.RuleId
}

// dropKey is what one counter counts.
type dropKey struct{ at, stage, reason, rule string }

// followDrops prints what each counter has gained, round by round. What was
// dropped before the first round is not shown.
func (s *session) followDrops(ids []string) error {
	// Each question has its own time: following has no end of its own.
	seen := map[dropKey]api.Drop{}
	for first := true; ; first = false {
		s.restartClock()
		res, err := s.drops(ids)
		if s.ctx.Err() != nil {
			return nil // interrupted, which is how following ends
		}
		if err != nil {
			return err
		}
		if gained := gains(seen, res.Drops); !first && len(gained) > 0 {
			if err := s.printGains(gained); err != nil {
				return err
			}
		}
		select {
		case <-s.After(5 * pollPause):
		case <-s.ctx.Done():
			return nil
		}
	}
}

// gains is the difference to the counters seen before, which it updates. A
// counter that went back was made anew and counts from zero.
func gains(seen map[dropKey]api.Drop, now []api.Drop) (out []api.Drop) {
	for _, d := range now {
		key := dropKey{firstOf(d.NetworkInterfaceId, d.InternetGatewayId), d.Stage, d.Reason, d.RuleId}
		before := seen[key]
		if api.Val(d.Packets) < api.Val(before.Packets) {
			before = api.Drop{}
		}
		seen[key] = d
		if n := api.Val(d.Packets) - api.Val(before.Packets); n > 0 {
			d.Packets, d.Bytes = &n, api.Ptr(api.Val(d.Bytes)-api.Val(before.Bytes))
			out = append(out, d)
		}
	}
	return out
}

func (s *session) printGains(gained []api.Drop) error {
	names := s.dropNames()
	t := &table{head: dropHead}
	for i := range gained {
		t.add(dropCells(&gained[i], names)...)
	}
	return s.emit(&api.DescribeDropsResult{Drops: gained}, nil, func() { s.print(t) })
}
