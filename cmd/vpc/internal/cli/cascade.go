package cli

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// defaultGroup is the group that goes with its VPC and cannot be deleted.
const defaultGroup = "default"

// step is one ordinary delete of a cascade.
type step struct {
	what string // detach docker:web1
	do   func() error
}

// deleteTree deletes a VPC and all that is in it, one plain delete after
// another. It is not atomic: after a failure the same command goes on where
// this one stopped.
func (s *session) deleteTree(o object) error {
	s.scope, s.vpc = &o, o.id
	plan, err := s.cascade(o)
	if err != nil {
		return doing("delete "+o.String(), err)
	}
	if s.dryRun {
		return s.printPlan(plan)
	}
	if err := s.confirm(o, plan); err != nil {
		return err
	}
	for _, st := range plan {
		// --timeout is for one step: a VPC may hold any number of things.
		s.restartClock()
		// What somebody else has deleted meanwhile is deleted.
		if err := st.do(); err != nil && explain(err).exit != api.ExitNotFound {
			return doing(st.what, err)
		}
		s.say("%s: done", st.what)
	}
	s.restartClock()
	return doing("delete "+o.String(), s.deleteVpc(o))
}

// printPlan asks the daemon nothing: most steps would be refused as long as
// the steps before them are not done.
func (s *session) printPlan(plan []step) error {
	steps := []string{}
	for _, st := range plan {
		steps = append(steps, st.what)
	}
	return s.emit(struct{ Steps []string }{append(steps, "delete "+s.scope.String())}, nil, func() {
		for _, what := range steps {
			s.say("would %s", what)
		}
		s.say("would delete %s", s.scope)
	})
}

// confirm asks a person, and refuses to guess where there is none.
func (s *session) confirm(o object, plan []step) error {
	if s.yes {
		return nil
	}
	no := &failure{exit: api.ExitRefused, doing: "delete " + o.String(), refusal: api.Error{
		Code: "OperationNotPermitted", Message: "nobody confirmed it", Hint: "vpc delete " + o.arg() + " --cascade --yes"}}
	if !s.IsTTY(s.Stdin) {
		return no
	}
	for _, st := range plan {
		fmt.Fprintln(s.Stderr, safe("  "+st.what))
	}
	fmt.Fprintf(s.Stderr, "Delete %s and do these %d steps before? [y/N] ", safe(o.String()), len(plan))
	answer, _ := bufio.NewReader(s.Stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return no
	}
	s.restartClock()
	return nil
}

// cascade lists the deletes in the order in which none is in another's way:
// workloads, NAT gateways, ENIs, rules that name groups, groups, subnets, network
// ACLs, route tables, the internet gateway, whose addresses are off it by then, and
// peerings. Elastic IPs stay the account's.
func (s *session) cascade(o object) ([]step, error) {
	f, err := s.forest()
	if err != nil {
		return nil, err
	}
	workloads := s.workloads()
	var detach, enis []step
	for i := range f.NetworkInterfaces {
		e := &f.NetworkInterfaces[i]
		it := eniObject(e)
		if api.Val(e.RequesterManaged) {
			continue
		}
		if e.Attachment != nil {
			detach = append(detach, s.detachStep(it, workloadOf(e, workloads)))
		}
		if e.Attachment == nil || !api.Val(e.Attachment.DeleteOnTermination) {
			enis = append(enis, deleteStep(it, s.deleteInterface))
		}
	}
	rules, err := s.ruleSteps(f.SecurityGroups)
	if err != nil {
		return nil, err
	}
	plan := append(detach, s.natSteps(f.NatGateways)...)
	plan = append(append(plan, enis...), rules...)
	for i := range f.SecurityGroups {
		if g := &f.SecurityGroups[i]; g.GroupName != defaultGroup {
			plan = append(plan, deleteStep(groupObject(g), s.deleteGroup))
		}
	}
	for i := range f.Subnets {
		plan = append(plan, deleteStep(subnetObject(&f.Subnets[i]), s.deleteSubnet))
	}
	for i := range f.NetworkAcls {
		if a := &f.NetworkAcls[i]; !api.Val(a.IsDefault) {
			plan = append(plan, deleteStep(aclObject(a), s.deleteAcl))
		}
	}
	for i := range f.RouteTables {
		if r := &f.RouteTables[i]; !isMainTable(r) {
			plan = append(plan, deleteStep(tableObject(r), s.deleteTable))
		}
	}
	for i := range f.InternetGateways {
		it := gatewayObject(&f.InternetGateways[i])
		plan = append(plan, step{"detach " + it.String(), func() error {
			_, err := s.detachGateway(it)
			return err
		}}, deleteStep(it, s.deleteGateway))
	}
	return append(plan, s.peeringSteps(f.VpcPeeringConnections, o)...), nil
}

// peeringSteps end the peerings of a VPC. What another account asks for has to be
// declined.
func (s *session) peeringSteps(peerings []api.VpcPeeringConnection, vpc object) []step {
	var out []step
	for i := range peerings {
		p := &peerings[i]
		it := peeringObject(p)
		if p.Status.Code == api.VpcPeeringConnectionStateReasonCodeActive || p.RequesterVpcInfo.VpcId == vpc.id || p.RequesterVpcInfo.OwnerId == p.AccepterVpcInfo.OwnerId {
			out = append(out, deleteStep(it, s.deletePeering))
			continue
		}
		out = append(out, step{"reject " + it.String(), func() error {
			_, err := s.rejectPeering(it)
			return err
		}})
	}
	return out
}

// natSteps delete the NAT gateways that are still there.
func (s *session) natSteps(nats []api.NatGateway) []step {
	var out []step
	for i := range nats {
		if n := &nats[i]; natLives(n) {
			out = append(out, deleteStep(natObject(n), s.deleteNat))
		}
	}
	return out
}

func deleteStep(o object, del func(object) (any, error)) step {
	return step{"delete " + o.String(), func() error {
		_, err := del(o)
		return err
	}}
}

// detachStep detaches one ENI, not its workload: the workload may have others
// in VPCs that stay.
func (s *session) detachStep(o object, workload string) step {
	return step{fmt.Sprintf("detach %s from %s", o, workload), func() error {
		_, err := change[api.DetachWorkloadResult](s, "DetachWorkload", &api.DetachWorkloadRequest{NetworkInterfaceId: o.id})
		return err
	}}
}

// ruleSteps removes the rules that name a group other than their own, where
// that group is about to go.
func (s *session) ruleSteps(groups []api.SecurityGroup) ([]step, error) {
	going := map[string]string{}
	for _, g := range groups {
		if g.GroupName != defaultGroup {
			going[g.GroupId] = g.GroupName
		}
	}
	var out []step
	for i := range groups {
		rules, err := s.rulesOf(groups[i].GroupId)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			ref := r.ReferencedGroupInfo
			if ref == nil || ref.GroupId == r.GroupId || going[ref.GroupId] == "" {
				continue
			}
			out = append(out, step{fmt.Sprintf("revoke %s on %s (%s)", ruleText(&r, going), groupObject(&groups[i]), r.SecurityGroupRuleId), func() error {
				_, err := s.revoke(&revocation{group: object{id: r.GroupId}}, api.Val(r.IsEgress), nil, []string{r.SecurityGroupRuleId})
				return err
			}})
		}
	}
	return out, nil
}
