package maps

import (
	"context"
	"errors"
	"fmt"

	"github.com/vpcfabric/vpc/bpf"
	"github.com/vpcfabric/vpc/dataplane/delta"
	"github.com/vpcfabric/vpc/dataplane/spec"
)

// Policy is the part of a port that decides about packets. It is replaced at
// one moment with the policies of all other ports: see Publish.
type Policy struct {
	ENI             spec.ENI
	Table           spec.RouteTable
	Egress, Ingress spec.RuleSetID
	// ACLOut and ACLIn are the two directions of the subnet's network ACL.
	ACLOut, ACLIn spec.RuleSetID
	ACL           spec.ACL
}

// Policy is the policy of a port.
func (p Port) Policy() Policy {
	return Policy{ENI: p.ENI, Table: p.Table, Egress: p.Egress, Ingress: p.Ingress, ACLOut: p.ACLOut, ACLIn: p.ACLIn, ACL: p.ACL}
}

// Policies is the driver of the policies of ports. lists resolves rule sets to
// the numbers that the rule driver gave them.
func (m *Maps) Policies(lists *Rules) delta.Driver[Slot, Policy] { return policies{ports{m}, lists} }

type policies struct {
	ports
	lists *Rules
}

func (d policies) Observe(context.Context, map[Slot]Policy) (map[Slot]Policy, error) {
	d.gen.known = false
	now, err := d.present()
	if err != nil {
		return nil, err
	}
	values, err := d.read()
	if err != nil {
		return nil, err
	}
	out := map[Slot]Policy{}
	for i, v := range values {
		if v.Eni == 0 {
			continue
		}
		at, waits := newest([2]uint64{v.Policy[0].Since, v.Policy[1].Since}, now)
		if at < 0 || waits {
			out[Slot(i)] = Policy{} // cut off before it was published: differs from whatever is wanted
			continue
		}
		out[Slot(i)] = d.decode(spec.ENI(v.Eni), v.Policy[at])
	}
	return out, nil
}

func (d policies) decode(eni spec.ENI, v bpf.Policy) Policy {
	return Policy{
		ENI: eni, Table: spec.RouteTable(v.Table), Egress: d.lists.idOf(v.Egress), Ingress: d.lists.idOf(v.Ingress),
		ACLOut: d.lists.idOf(v.AclOut), ACLIn: d.lists.idOf(v.AclIn), ACL: spec.ACL(v.Acl),
	}
}

// encode is the policy as the programs read it. Beside an error for lists that
// are not there it is one that refuses what they would decide: list 0 is the
// empty one.
func (d policies) encode(p Policy) (bpf.Policy, error) {
	var (
		list    [4]uint32
		missing []error
	)
	for i, id := range []spec.RuleSetID{p.Egress, p.Ingress, p.ACLOut, p.ACLIn} {
		n, err := d.lists.list(id)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		list[i] = n
	}
	v := bpf.Policy{Table: uint32(p.Table), Egress: list[0], Ingress: list[1], AclOut: list[2], AclIn: list[3], Acl: uint32(p.ACL)}
	return v, errors.Join(missing...)
}

// Put writes the policy beside the one in force. A slot that changes its owner is
// closed first, and stays closed until the port's own driver opens it.
func (d policies) Put(_ context.Context, k Slot, p Policy) error {
	if uint32(k) >= bpf.MaxPorts {
		return fmt.Errorf("port slot %d: a host has at most %d ports", k, bpf.MaxPorts)
	}
	now, err := d.present()
	if err != nil {
		return err
	}
	v, missing := d.encode(p)
	var entry bpf.Port
	if err := d.m["ports"].Lookup(uint32(k), &entry); err != nil {
		return err
	}
	if entry.Eni != uint32(p.ENI) {
		// A port that is not open yet waits for its lists. One that is open may
		// have what was revoked: it refuses until they can be written.
		if missing != nil {
			return missing
		}
		if entry, err = d.claim(k, entry, p.ENI); err != nil {
			return err
		}
	}
	at, _ := newest([2]uint64{entry.Policy[0].Since, entry.Policy[1].Since}, now)
	other := 0
	if at == 0 {
		other = 1
	}
	v.Since = now + 1
	entry.Policy[other] = v
	entry.Uncounted = 1
	d.gen.changed, d.gen.uncounted[k] = true, true
	return errors.Join(d.write(k, entry), missing)
}

// Delete has nothing to do: a policy goes with its port.
func (d policies) Delete(context.Context, Slot) error { return nil }
