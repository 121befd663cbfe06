package storm

import (
	"fmt"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// change is one kind of change; trap is the port that it endangers, 0 for none
// in particular. It says what it has done.
type change struct {
	weight int
	trap   uint16
	do     func(*world) string
}

var changes = []change{
	{3, 0, (*world).addNoise},
	{2, 0, (*world).removeNoise},
	{2, 0, (*world).modifyNoise},
	{3, 0, (*world).exchange},
	{2, 0, (*world).overlap},
	{2, 0, (*world).reviseBoth},
	{1, 0, (*world).joinExtra},
	{4, bySender, (*world).moveSender},
	{4, byReceiver, (*world).moveReceiver},
	{4, byList, (*world).flipList},
	{4, byShared, (*world).flipShared},
	{4, byPair, (*world).flipPair},
	{3, byACL, (*world).swapACLs},
	{3, byACL, (*world).replaceEntry},
}

func (w *world) draw() change {
	total := 0
	for _, c := range changes {
		total += c.weight
	}
	n := w.rng.IntN(total)
	for _, c := range changes {
		if n -= c.weight; n < 0 {
			return c
		}
	}
	panic("the weights do not add up")
}

// mostNoise bounds the rules of noise in one group.
const mostNoise = 3

func (w *world) addNoise() string {
	group := w.every[w.rng.IntN(len(w.every))]
	if len(w.find(group, "noise")) >= mostNoise {
		return w.removeNoise()
	}
	r := w.noise()
	w.authorize(group, w.rng.IntN(2) == 0, r)
	return fmt.Sprintf("noise %+v added", r)
}

// someNoise is a rule of noise of some group, nil if none has any.
func (w *world) someNoise() *api.SecurityGroupRule {
	for _, i := range w.rng.Perm(len(w.every)) {
		if found := w.find(w.every[i], "noise"); len(found) > 0 {
			return &found[w.rng.IntN(len(found))]
		}
	}
	return nil
}

func (w *world) removeNoise() string {
	r := w.someNoise()
	if r == nil {
		return w.addNoise()
	}
	w.revoke(r.GroupId, *r.IsEgress, *r)
	return "noise removed"
}

func (w *world) modifyNoise() string {
	r := w.someNoise()
	if r == nil {
		return w.addNoise()
	}
	w.modify(r.GroupId, w.noise().update(r.SecurityGroupRuleId))
	return "noise modified"
}

// allowing draws a rule that allows a flow, and another for the same.
func (w *world) allowing() (old api.SecurityGroupRule, next rule) {
	flow, egress := swapped[w.rng.IntN(len(swapped))], w.rng.IntN(2) == 0
	s := w.to
	if egress {
		s = w.from
	}
	old = w.find(s.either[w.rng.IntN(2)], flow)[0]
	next = w.form(flow, egress)
	for *old.FromPort == next.lo && *old.ToPort == next.hi {
		next = w.form(flow, egress)
	}
	return old, next
}

// exchange changes the rule that allows a flow for another one in one call.
func (w *world) exchange() string {
	old, next := w.allowing()
	w.modify(old.GroupId, next.update(old.SecurityGroupRuleId))
	return fmt.Sprintf("rule of %s exchanged for %+v", next.mark, next)
}

// overlap does it in two: add, then remove.
func (w *world) overlap() string {
	old, next := w.allowing()
	w.authorize(old.GroupId, *old.IsEgress, next)
	w.revoke(old.GroupId, *old.IsEgress, old)
	return fmt.Sprintf("rule of %s added and the old one removed: %+v", next.mark, next)
}

// revise gives a list other entries in one call.
func (w *world) revise(l *list, next []string) {
	var add, remove []string
	for _, p := range next {
		if !slices.Contains(l.entries, p) {
			add = append(add, p)
		}
	}
	req := &api.ModifyManagedPrefixListRequest{PrefixListId: l.id, CurrentVersion: &l.version}
	for _, p := range l.entries {
		if !slices.Contains(next, p) {
			remove = append(remove, p)
			req.RemoveEntries = append(req.RemoveEntries, api.RemovePrefixListEntry{Cidr: p})
		}
	}
	if req.AddEntries = entries(add); len(add)+len(remove) == 0 {
		return
	}
	call[api.ModifyManagedPrefixListRequest, api.ModifyManagedPrefixListResult](w.caller, req, "PrefixListVersionMismatch")
	l.version++
	l.entries = next
}

func (w *world) reviseBoth() string {
	next := []string{w.around(w.from.at), w.around(w.to.at)}
	for range w.rng.IntN(4) {
		next = append(next, w.junk())
	}
	slices.Sort(next)
	w.revise(w.lists["both"], slices.Compact(next))
	return fmt.Sprintf("list of both: %v", next)
}

func (w *world) joinExtra() string {
	s := []*side{&w.from, &w.to}[w.rng.IntN(2)]
	w.join(s, w.membership(s, w.someExtra()))
	return "other groups that mean nothing"
}

func (w *world) someExtra() []string {
	out := slices.Clone(w.extra)
	w.rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:w.rng.IntN(3)]
}

// moveSender: the one group may send and the other may be received from.
func (w *world) moveSender() string { return w.move(&w.from) }

// moveReceiver: the one group may receive and the other may be sent to.
func (w *world) moveReceiver() string { return w.move(&w.to) }

func (w *world) move(s *side) string {
	s.now = 1 - s.now
	w.join(s, w.membership(s, w.someExtra()))
	return fmt.Sprintf("%s moved to its group %d", s.at, s.now)
}

// flipList: the list is where the one may send to and from whom the other may
// receive; it names one of them at a time.
func (w *world) flipList() string {
	l, next := w.lists["trap"], []string{w.from.prefix(), w.junk()}
	if slices.Contains(l.entries, w.from.prefix()) {
		next[0] = w.to.prefix()
	}
	w.revise(l, next)
	return fmt.Sprintf("list of a trap: %v", next)
}

// flipShared exchanges a rule out and a rule in of a group of both, in one call.
func (w *world) flipShared() string {
	var updates []api.SecurityGroupRuleUpdate
	for _, r := range w.find(w.shared, "shared") {
		remote := nowhere
		if r.CidrIpv4 == nowhere {
			remote = w.from.prefix()
			if *r.IsEgress {
				remote = w.to.prefix()
			}
		}
		updates = append(updates, udp("shared", byShared, remote).update(r.SecurityGroupRuleId))
	}
	w.modify(w.shared, updates...)
	return "rules of a shared group exchanged"
}

// flipPair takes the permission of one side before it gives it to the other,
// in two calls that are seldom seen one by one.
func (w *world) flipPair() string {
	if in := w.find(w.to.own, "pair"); len(in) > 0 {
		w.revoke(w.to.own, false, in...)
		w.authorize(w.from.own, true, udp("pair", byPair, w.to.prefix()))
		return "a permission went from the receiver to the sender"
	}
	w.revoke(w.from.own, true, w.find(w.from.own, "pair")...)
	w.authorize(w.to.own, false, udp("pair", byPair, w.from.prefix()))
	return "a permission went from the sender to the receiver"
}

// openTraps lets each pass what only a mixture would have.
func (w *world) openTraps() {
	for _, s := range []*side{&w.from, &w.to} {
		w.join(s, append([]string{s.own, w.shared}, s.either...))
	}
	w.revise(w.lists["trap"], []string{w.from.prefix(), w.to.prefix()})
	var updates []api.SecurityGroupRuleUpdate
	for _, r := range w.find(w.shared, "shared") {
		remote := w.from.prefix()
		if *r.IsEgress {
			remote = w.to.prefix()
		}
		updates = append(updates, udp("shared", byShared, remote).update(r.SecurityGroupRuleId))
	}
	w.modify(w.shared, updates...)
	if len(w.find(w.to.own, "pair")) > 0 {
		w.authorize(w.from.own, true, udp("pair", byPair, w.to.prefix()))
	} else {
		w.authorize(w.to.own, false, udp("pair", byPair, w.from.prefix()))
	}
	w.associate(&w.from, 1)
	w.associate(&w.to, 0)
	w.applied()
}
