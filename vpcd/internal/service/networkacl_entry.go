package service

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Numbers that a rule can have; those from lastRule on are EC2's own.
const (
	minRule = 1
	maxRule = lastRule - 1
)

// entryRequest is what CreateNetworkAclEntry and ReplaceNetworkAclEntry have in
// common.
type entryRequest struct {
	aclID    string
	number   int32
	egress   bool
	action   string
	protocol string
	cidr     string
	cidr6    string
	ports    *api.PortRange
	icmp     *api.IcmpTypeCode
}

// createNetworkAclEntry adds a rule. Codes: NetworkAclEntryAlreadyExists,
// NetworkAclEntryLimitExceeded, those of the ACL's id, MissingParameter and
// InvalidParameterValue for the parts of the rule.
func (s *Service) createNetworkAclEntry(ctx context.Context, caller Caller, req *api.CreateNetworkAclEntryRequest) (*api.CreateNetworkAclEntryResult, int64, error) {
	revision, err := s.writeEntry(ctx, caller, req.DryRun, &entryRequest{
		req.NetworkAclId, api.Val(req.RuleNumber), api.Val(req.Egress), req.RuleAction, req.Protocol, req.CidrBlock, req.Ipv6CidrBlock, req.PortRange, req.IcmpTypeCode,
	}, (*change).insertEntry)
	return &api.CreateNetworkAclEntryResult{}, revision, err
}

// replaceNetworkAclEntry puts another rule in the place of one. Codes:
// InvalidNetworkAclEntry.NotFound, and those of createNetworkAclEntry for the
// parts of the rule.
func (s *Service) replaceNetworkAclEntry(ctx context.Context, caller Caller, req *api.ReplaceNetworkAclEntryRequest) (*api.ReplaceNetworkAclEntryResult, int64, error) {
	revision, err := s.writeEntry(ctx, caller, req.DryRun, &entryRequest{
		req.NetworkAclId, api.Val(req.RuleNumber), api.Val(req.Egress), req.RuleAction, req.Protocol, req.CidrBlock, req.Ipv6CidrBlock, req.PortRange, req.IcmpTypeCode,
	}, (*change).exchangeEntry)
	return &api.ReplaceNetworkAclEntryResult{}, revision, err
}

// writeEntry puts one entry into an ACL the way that put does.
func (s *Service) writeEntry(ctx context.Context, caller Caller, dryRun *bool, in *entryRequest, put func(*change, []api.NetworkAclEntry, api.NetworkAclEntry) ([]api.NetworkAclEntry, error)) (int64, error) {
	entry, err := in.entry()
	if err != nil {
		return 0, err
	}
	return s.editEntries(ctx, caller, dryRun, in.aclID, func(c *change, entries []api.NetworkAclEntry) ([]api.NetworkAclEntry, error) {
		return put(c, entries, entry)
	})
}

// deleteNetworkAclEntry removes a rule; the closing one stays.
func (s *Service) deleteNetworkAclEntry(ctx context.Context, caller Caller, req *api.DeleteNetworkAclEntryRequest) (*api.DeleteNetworkAclEntryResult, int64, error) {
	number, egress := api.Val(req.RuleNumber), api.Val(req.Egress)
	if err := checkRuleNumber(number); err != nil {
		return nil, 0, err
	}
	revision, err := s.editEntries(ctx, caller, req.DryRun, req.NetworkAclId, func(_ *change, entries []api.NetworkAclEntry) ([]api.NetworkAclEntry, error) {
		i, found := findEntry(entries, egress, number)
		if !found {
			return nil, noSuchEntry(egress, number)
		}
		return slices.Delete(slices.Clone(entries), i, i+1), nil
	})
	return &api.DeleteNetworkAclEntryResult{}, revision, err
}

// editEntries writes the entries of an ACL that edit makes of those it has.
// edit returns a new slice.
func (s *Service) editEntries(ctx context.Context, caller Caller, dryRun *bool, aclID string, edit func(*change, []api.NetworkAclEntry) ([]api.NetworkAclEntry, error)) (int64, error) {
	return s.mutate(ctx, caller, dryRun, func(c *change) error {
		acl, err := getAcl(c.tx, caller, aclID)
		if err != nil {
			return err
		}
		changed := *acl
		if changed.Acl.Entries, err = edit(c, acl.Acl.Entries); err != nil {
			return err
		}
		c.putAcl(&changed)
		return nil
	})
}

// insertEntry adds an entry at the place of its number.
func (c *change) insertEntry(entries []api.NetworkAclEntry, e api.NetworkAclEntry) ([]api.NetworkAclEntry, error) {
	egress, number := api.Val(e.Egress), api.Val(e.RuleNumber)
	i, found := findEntry(entries, egress, number)
	if found {
		return nil, api.Errorf("NetworkAclEntryAlreadyExists", "RuleNumber", "the network acl entry identified by %d already exists for %s: replace it or choose another number", number, way(egress))
	}
	// The closing entry does not count: with the new one in its place, the
	// number of entries of this direction is what there is already.
	total := 0
	for _, other := range entries {
		if api.Val(other.Egress) == egress {
			total++
		}
	}
	if err := c.checkLimit(limitAclEntries, total); err != nil {
		return nil, err
	}
	return slices.Insert(slices.Clone(entries), i, e), nil
}

// exchangeEntry puts an entry in the place of the one with its number.
func (c *change) exchangeEntry(entries []api.NetworkAclEntry, e api.NetworkAclEntry) ([]api.NetworkAclEntry, error) {
	i, found := findEntry(entries, api.Val(e.Egress), api.Val(e.RuleNumber))
	if !found {
		return nil, noSuchEntry(api.Val(e.Egress), api.Val(e.RuleNumber))
	}
	out := slices.Clone(entries)
	out[i] = e
	return out, nil
}

// findEntry is where in the order of entries, egress first, then by number,
// one stands or would stand.
func findEntry(entries []api.NetworkAclEntry, egress bool, number int32) (int, bool) {
	return slices.BinarySearchFunc(entries, number, func(e api.NetworkAclEntry, number int32) int {
		if out := api.Val(e.Egress); out != egress {
			if out {
				return -1
			}
			return 1
		}
		return cmp.Compare(api.Val(e.RuleNumber), number)
	})
}

func noSuchEntry(egress bool, number int32) error {
	return api.Errorf("InvalidNetworkAclEntry.NotFound", "RuleNumber", "the network acl entry identified by %d does not exist for %s; DescribeNetworkAcls lists those that do", number, way(egress))
}

// way is how sentences call a direction.
func way(egress bool) string {
	if egress {
		return "egress"
	}
	return "ingress"
}

// checkRuleNumber keeps the closing entries and EC2's own numbers out of reach.
func checkRuleNumber(number int32) error {
	if number < minRule || number > maxRule {
		return api.Errorf("InvalidParameterValue", "RuleNumber", "value (%d) for parameter ruleNumber is invalid: use %d to %d; %d is the closing rule, which cannot be changed", number, minRule, maxRule, lastRule)
	}
	return nil
}

// entry is the rule that a request describes, in the form records have.
func (in *entryRequest) entry() (api.NetworkAclEntry, error) {
	e := api.NetworkAclEntry{RuleNumber: api.Ptr(in.number), Egress: api.Ptr(in.egress), RuleAction: in.action}
	err := checkRuleNumber(in.number)
	if err != nil {
		return e, err
	}
	if e.Protocol, err = entryProtocol(in.protocol); err != nil {
		return e, err
	}
	if e.CidrBlock, err = in.source(); err != nil {
		return e, err
	}
	// As EC2 does, what does not belong to the protocol is not looked at: its
	// clients send a port range with everything.
	switch e.Protocol {
	case "6", "17":
		e.PortRange, err = entryPorts(in.ports)
	case "1":
		e.IcmpTypeCode, err = entryICMP(in.icmp)
	}
	return e, err
}

// source is the CIDR in canonical form.
func (in *entryRequest) source() (string, error) {
	switch {
	case in.cidr != "" && in.cidr6 != "":
		return "", api.Errorf("InvalidParameterCombination", "Ipv6CidrBlock", "an entry has one CIDR: set CidrBlock or Ipv6CidrBlock")
	case in.cidr6 != "":
		return "", api.Errorf("UnsupportedOperation", "Ipv6CidrBlock", "entries for IPv6 are not built yet: leave Ipv6CidrBlock out")
	case in.cidr == "":
		return "", api.Errorf("MissingParameter", "CidrBlock", "the request must contain the parameter CidrBlock, 0.0.0.0/0 for all")
	}
	return parseRuleSource(in.cidr, "CidrBlock")
}

// protocolNumbers are the names that clients other than AWS's own CLI, which
// rewrites them, send.
var protocolNumbers = map[string]string{"all": anyProtocol, "icmp": "1", "tcp": "6", "udp": "17"}

// entryProtocol brings a protocol to its number. 58, ICMP for IPv6, is a number
// like others here: with an IPv4 CIDR EC2 takes it for all of that protocol.
func entryProtocol(text string) (string, error) {
	if number, ok := protocolNumbers[text]; ok {
		return number, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if text != anyProtocol && (err != nil || strconv.FormatUint(n, 10) != text) {
		return "", api.Errorf("InvalidParameterValue", "Protocol", "invalid value %s for protocol: use a number from 0 to 255, -1 for all, or tcp, udp, icmp", quote(text))
	}
	return text, nil
}

// entryPorts is a whole port range, in records of its own.
func entryPorts(p *api.PortRange) (*api.PortRange, error) {
	if p == nil {
		return nil, api.Errorf("MissingParameter", "PortRange", "the request must contain the parameter PortRange for TCP and UDP: 0 to %d for all", maxPort)
	}
	for _, end := range []struct {
		name string
		port *int32
	}{{"From", p.From}, {"To", p.To}} {
		at := place("PortRange").field(end.name)
		if end.port == nil {
			return nil, api.Errorf("MissingParameter", at, "the request must contain the parameter %s: both ends of the port range", at)
		}
		if *end.port < 0 || *end.port > maxPort {
			return nil, api.Errorf("InvalidParameterValue", at, "TCP/UDP port (%d) out of range: use 0 to %d", *end.port, maxPort)
		}
	}
	if *p.From > *p.To {
		return nil, api.Errorf("InvalidParameterValue", "PortRange.From", "invalid TCP/UDP port range (%d:%d): From must not be above To", *p.From, *p.To)
	}
	return &api.PortRange{From: api.Ptr(*p.From), To: api.Ptr(*p.To)}, nil
}

// entryICMP is a type and a code, -1 for any. A missing part is no "any": the
// rule would match more than its author wrote.
func entryICMP(p *api.IcmpTypeCode) (*api.IcmpTypeCode, error) {
	if p == nil {
		return nil, api.Errorf("MissingParameter", "IcmpTypeCode", "the request must contain the parameter IcmpTypeCode for ICMP: -1 as Type and as Code for all")
	}
	for _, part := range []struct {
		name  string
		value *int32
	}{{"Type", p.Type}, {"Code", p.Code}} {
		at := place("IcmpTypeCode").field(part.name)
		if part.value == nil {
			return nil, api.Errorf("MissingParameter", at, "the request must contain the parameter %s, -1 for any", at)
		}
		if *part.value < anyPort || *part.value > maxICMP {
			return nil, api.Errorf("InvalidParameterValue", at, "ICMP type or code (%d) out of range: use 0 to %d, or -1 for any", *part.value, maxICMP)
		}
	}
	if *p.Type == anyPort && *p.Code != anyPort {
		return nil, api.Errorf("InvalidParameterValue", "IcmpTypeCode.Code", "ICMP code %d needs a type: set Type, or Code to -1", *p.Code)
	}
	return &api.IcmpTypeCode{Type: api.Ptr(*p.Type), Code: api.Ptr(*p.Code)}, nil
}
