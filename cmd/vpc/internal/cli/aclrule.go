package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) aclRule() *cobra.Command {
	add := s.entryCommand("add", "Add a rule; the lowest number that matches decides",
		"vpc acl rule add strict --in 100 allow tcp/80 --from 0.0.0.0/0\nvpc acl rule add strict --out 100 allow tcp/1024-65535 --to 0.0.0.0/0",
		func(req *api.CreateNetworkAclEntryRequest) (any, error) {
			return change[api.CreateNetworkAclEntryResult](s, "CreateNetworkAclEntry", req)
		})
	set := s.entryCommand("set", "Put another rule in the place of one",
		"vpc acl rule set strict --in 100 deny tcp/80 --from 192.0.2.0/24",
		func(req *api.CreateNetworkAclEntryRequest) (any, error) {
			same := api.ReplaceNetworkAclEntryRequest(*req)
			return change[api.ReplaceNetworkAclEntryResult](s, "ReplaceNetworkAclEntry", &same)
		})
	return group("rule", "Rules of a network ACL", "  vpc acl rule add strict --in 100 allow tcp/80 --from 0.0.0.0/0", add, set, s.entryRemove())
}

// entryFlags name a rule by direction and number, and its other end.
type entryFlags struct {
	in, out  int32
	from, to string
}

func (f *entryFlags) add(cmd *cobra.Command) {
	cmd.Flags().Int32Var(&f.in, "in", 0, "number of a rule for what comes into the subnet, 1 to 32766")
	cmd.Flags().Int32Var(&f.out, "out", 0, "number of a rule for what leaves the subnet")
}

// number reads --in or --out. Whether the number is a good one is for the daemon.
func (f *entryFlags) number(cmd *cobra.Command) (egress bool, number int32, err error) {
	in, out := cmd.Flags().Changed("in"), cmd.Flags().Changed("out")
	switch {
	case in == out:
		return false, 0, usagef("%s needs either --in NUMBER or --out NUMBER", cmd.CommandPath())
	case out:
		return true, f.out, nil
	}
	return false, f.in, nil
}

// peer reads the CIDR, from --from for what comes in and --to for what leaves.
func (f *entryFlags) peer(egress bool) (peer, error) {
	text := f.from
	switch {
	case egress && f.from != "":
		return peer{}, usagef("--out goes with --to, not --from")
	case !egress && f.to != "":
		return peer{}, usagef("--in goes with --from, not --to")
	case egress:
		text = f.to
	}
	if text == "" {
		return peer{}, usagef("%s what? 0.0.0.0/0 means everybody", map[bool]string{false: "--from", true: "--to"}[egress])
	}
	end, err := parsePeer(text)
	if err == nil && (end.group != "" || end.list != "") {
		return peer{}, refusef("CidrBlock", "%s: a network ACL knows CIDRs only, no groups and no prefix lists", text)
	}
	return end, err
}

// entryCommand is add or set, which differ in what becomes of a rule that is
// there. Both actions have the same members.
func (s *session) entryCommand(name, short, example string, do func(*api.CreateNetworkAclEntryRequest) (any, error)) *cobra.Command {
	var f entryFlags
	cmd := verb(name+" ACL (--in NUMBER | --out NUMBER) allow|deny PROTO[/PORTS] (--from CIDR | --to CIDR)", short, example, args(3, 3),
		func(cmd *cobra.Command, a []string) error {
			req, err := f.request(cmd, a[1], a[2])
			if err != nil {
				return err
			}
			o, err := s.scoped(aclNoun, a[0])
			if err != nil {
				return err
			}
			req.NetworkAclId = o.id
			res, err := do(req)
			if err != nil {
				return doing(fmt.Sprintf("%s rule %s of %s", name, entryName(api.Val(req.Egress), api.Val(req.RuleNumber)), o), err)
			}
			defer s.warnNoAnswers(o)
			return s.done(res, o, "has rule "+entryText(req))
		})
	f.add(cmd)
	cmd.Flags().StringVar(&f.from, "from", "", "CIDR, with --in")
	cmd.Flags().StringVar(&f.to, "to", "", "CIDR, with --out")
	s.completeEntry(cmd)
	return cmd
}

// request is the rule that flags and arguments describe, of no ACL yet.
func (f *entryFlags) request(cmd *cobra.Command, action, protocol string) (*api.CreateNetworkAclEntryRequest, error) {
	egress, number, err := f.number(cmd)
	if err != nil {
		return nil, err
	}
	if action != api.RuleActionAllow && action != api.RuleActionDeny {
		return nil, usagef("%q: want allow or deny", action)
	}
	t, err := parseTraffic(protocol)
	if err != nil {
		return nil, err
	}
	end, err := f.peer(egress)
	if err != nil {
		return nil, err
	}
	req := &api.CreateNetworkAclEntryRequest{RuleNumber: &number, Egress: &egress, RuleAction: action,
		Protocol: protocolNumber(t.protocol), CidrBlock: end.cidr4, Ipv6CidrBlock: end.cidr6}
	switch t.protocol {
	case "tcp", "udp":
		req.PortRange = &api.PortRange{From: t.from, To: t.to}
	case "icmp", "icmpv6":
		req.IcmpTypeCode = &api.IcmpTypeCode{Type: t.from, Code: t.to}
	}
	return req, nil
}

// protocolNumber is how EC2 spells protocols in network ACLs.
func protocolNumber(name string) string {
	for number, known := range protocolNames {
		if known == name {
			return number
		}
	}
	return name
}

// entryName is a rule by what tells it from others: in 100.
func entryName(egress bool, number int32) string {
	return fmt.Sprintf("%s %d", map[bool]string{false: "in", true: "out"}[egress], number)
}

// entryText is a rule as a user would type it, without flags.
func entryText(req *api.CreateNetworkAclEntryRequest) string {
	e := api.NetworkAclEntry{Protocol: req.Protocol, PortRange: req.PortRange, IcmpTypeCode: req.IcmpTypeCode}
	word := map[bool]string{false: "from", true: "to"}[api.Val(req.Egress)]
	return strings.Join([]string{entryName(api.Val(req.Egress), api.Val(req.RuleNumber)) + ":", req.RuleAction,
		aclTraffic(&e).String(), word, firstOf(req.CidrBlock, req.Ipv6CidrBlock)}, " ")
}

func (s *session) entryRemove() *cobra.Command {
	var f entryFlags
	cmd := verb("rm ACL (--in NUMBER | --out NUMBER)", "Remove a rule", "vpc acl rule rm strict --in 100", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			egress, number, err := f.number(cmd)
			if err != nil {
				return err
			}
			o, err := s.scoped(aclNoun, a[0])
			if err != nil {
				return err
			}
			res, err := change[api.DeleteNetworkAclEntryResult](s, "DeleteNetworkAclEntry",
				&api.DeleteNetworkAclEntryRequest{NetworkAclId: o.id, RuleNumber: &number, Egress: &egress})
			if err != nil {
				return doing(fmt.Sprintf("remove rule %s of %s", entryName(egress, number), o), err)
			}
			defer s.warnNoAnswers(o)
			return s.done(res, o, "no longer has rule "+entryName(egress, number))
		})
	f.add(cmd)
	s.completeArgs(cmd, aclNoun)
	return cmd
}

// completeEntry offers ACLs, then the two actions.
func (s *session) completeEntry(cmd *cobra.Command) {
	names := s.live(aclNoun)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, typed []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(typed) {
		case 0:
			return names(cmd, typed, word)
		case 1:
			return []cobra.Completion{api.RuleActionAllow, api.RuleActionDeny}, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// countEntries leaves out the rule that closes a direction.
func countEntries(a *api.NetworkAcl, egress bool) int {
	n := 0
	for _, e := range a.Entries {
		if api.Val(e.Egress) == egress && api.Val(e.RuleNumber) != lastEntry {
			n++
		}
	}
	return n
}

func aclCells(e *api.NetworkAclEntry) []string {
	way := "in"
	if api.Val(e.Egress) {
		way = "out"
	}
	number := number(e.RuleNumber)
	if api.Val(e.RuleNumber) == lastEntry {
		number = "*"
	}
	return []string{way, number, e.RuleAction, aclTraffic(e).String(), firstOf(e.CidrBlock, e.Ipv6CidrBlock)}
}

// aclTraffic reads an entry, where EC2 writes protocols as numbers.
func aclTraffic(e *api.NetworkAclEntry) traffic {
	t := traffic{protocol: firstOf(protocolNames[e.Protocol], e.Protocol)}
	switch {
	case e.IcmpTypeCode != nil:
		t.from, t.to = e.IcmpTypeCode.Type, e.IcmpTypeCode.Code
	case e.PortRange != nil:
		t.from, t.to = e.PortRange.From, e.PortRange.To
	}
	return t
}
