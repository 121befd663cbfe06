package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) peeringCommand() *cobra.Command {
	list := verb("list", "List peerings, and for a while those that have ended", "vpc peering list\nvpc peering list --vpc prod", args(0, 0),
		func(*cobra.Command, []string) error { return s.listPeerings() })
	show := verb("show PEERING", "Show a peering", "vpc peering show prod-dev", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showPeering(a[0]) })
	rm := verb("rm PEERING…", "End peerings, or take requests back", "vpc peering rm prod-dev", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.remove(pcxNoun, a, s.deletePeering) })
	reject := verb("reject PEERING…", "Decline requests for a peering", "vpc peering reject pcx-0123456789abcdef0", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error {
			var all []func() error
			for _, ref := range a {
				all = append(all, func() error { return s.declinePeering(ref) })
			}
			return s.steps(all...)
		})
	accept := verb("accept PEERING", "Accept a request for a peering", "vpc peering accept prod-dev", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.acceptPeering(a[0]) })
	for _, cmd := range []*cobra.Command{show, rm, reject, accept} {
		s.completeArgs(cmd, pcxNoun)
	}
	cmd := group("peering", "Peerings between two VPCs", "  vpc peering add prod-dev --vpc prod --peer dev\n  vpc peering accept prod-dev",
		s.peeringAdd(), list, show, s.peeringSet(), rm, accept, reject)
	cmd.Long = "A peering joins two VPCs whose CIDRs do not overlap. It needs the other owner's consent, and a route in the tables of\n" +
		"both VPCs: vpc route add TABLE CIDR --to pcx:NAME. It leads into the other VPC and not beyond."
	return cmd
}

func (s *session) peeringAdd() *cobra.Command {
	var peer, account string
	var tags []string
	cmd := verb("add NAME --vpc VPC --peer VPC", "Ask for a peering of two VPCs",
		"vpc peering add prod-dev --vpc prod --peer dev\nvpc peering add partner --vpc prod --peer vpc-0123456789abcdef0 --peer-account 000000000002", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			v, err := s.needScope()
			if err != nil {
				return err
			}
			if peer == "" {
				return usagef("which other VPC? name it with --peer")
			}
			return doing(fmt.Sprintf("create peering %s of %s", a[0], v), s.addPeering(a[0], v, peer, account, tags))
		})
	cmd.Flags().StringVar(&peer, "peer", "", "the other VPC; its id where it is another account's")
	cmd.Flags().StringVar(&account, "peer-account", "", "account of the other VPC (default: your own)")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	s.completeFlag(cmd, "peer", vpcNoun)
	return cmd
}

// addPeering asks, and then looks what became of it: the answer to the request
// itself never says that it has failed.
func (s *session) addPeering(name string, v object, peer, account string, pairs []string) error {
	tags, err := nameTags(pcxNoun, name, pairs)
	if err != nil {
		return err
	}
	if account == "" {
		o, err := s.resolve(vpcNoun, peer, "")
		if err != nil {
			return err
		}
		peer = o.id
	}
	if err := s.newName(pcxNoun, name, ""); err != nil {
		return err
	}
	res, err := change[api.CreateVpcPeeringConnectionResult](s, "CreateVpcPeeringConnection",
		&api.CreateVpcPeeringConnectionRequest{VpcId: v.id, PeerVpcId: peer, PeerOwnerId: account, TagSpecifications: tags})
	if err != nil {
		return err
	}
	made := res.VpcPeeringConnection
	o := peeringObject(made)
	if made.Status.Code != api.VpcPeeringConnectionStateReasonCodeInitiatingRequest {
		return s.done(res, o, "is there already: "+made.Status.Message)
	}
	now, err := s.peering(o.id)
	if err != nil {
		return err
	}
	if err := failedPeering(now); err != nil {
		return err
	}
	return s.done(res, o, "asked for: the owner of "+made.AccepterVpcInfo.VpcId+" has to accept it")
}

// peering reads one peering.
func (s *session) peering(id string) (*api.VpcPeeringConnection, error) {
	res, err := ask[api.DescribeVpcPeeringConnectionsResult](s, "DescribeVpcPeeringConnections",
		&api.DescribeVpcPeeringConnectionsRequest{VpcPeeringConnectionIds: []string{id}})
	if err != nil {
		return nil, err
	}
	if len(res.VpcPeeringConnections) != 1 {
		return nil, s.notFound(pcxNoun, id, "")
	}
	return &res.VpcPeeringConnections[0], nil
}

// failedPeering is the refusal that a state stands for.
func failedPeering(p *api.VpcPeeringConnection) error {
	if p.Status.Code != api.VpcPeeringConnectionStateReasonCodeFailed {
		return nil
	}
	return &failure{exit: api.ExitRefused, refusal: api.Error{Code: "IncorrectState", Hint: "VPCs whose CIDRs do not overlap: vpc list",
		Message: fmt.Sprintf("%s of %s and %s has failed: %s", p.VpcPeeringConnectionId, p.RequesterVpcInfo.VpcId, p.AccepterVpcInfo.VpcId, p.Status.Message)}}
}

func (s *session) peeringSet() *cobra.Command {
	var name string
	var requester, accepter bool
	cmd := verb("set PEERING", "Change a peering", "vpc peering set prod-dev --name joint\nvpc peering set prod-dev --requester-dns", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.resolve(pcxNoun, a[0], "")
			if err != nil {
				return err
			}
			modify := func(req api.ModifyVpcPeeringConnectionOptionsRequest) error {
				req.VpcPeeringConnectionId = o.id
				_, err := change[api.ModifyVpcPeeringConnectionOptionsResult](s, "ModifyVpcPeeringConnectionOptions", &req)
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(pcxNoun, o, name) },
				"requester-dns": func() error {
					return modify(api.ModifyVpcPeeringConnectionOptionsRequest{RequesterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: &requester}})
				},
				"accepter-dns": func() error {
					return modify(api.ModifyVpcPeeringConnectionOptionsRequest{AccepterPeeringConnectionOptions: &api.PeeringConnectionOptionsRequest{AllowDnsResolutionFromRemoteVpc: &accepter}})
				},
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name, for your account")
	cmd.Flags().BoolVar(&requester, "requester-dns", false, "let the accepter's VPC resolve names in the requester's to private addresses")
	cmd.Flags().BoolVar(&accepter, "accepter-dns", false, "the same the other way round")
	s.completeArgs(cmd, pcxNoun)
	return cmd
}

func (s *session) acceptPeering(ref string) error {
	o, err := s.resolve(pcxNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := change[api.AcceptVpcPeeringConnectionResult](s, "AcceptVpcPeeringConnection", &api.AcceptVpcPeeringConnectionRequest{VpcPeeringConnectionId: o.id})
	if err == nil {
		err = failedPeering(res.VpcPeeringConnection)
	}
	if err != nil {
		return doing("accept "+o.String(), err)
	}
	return s.done(res, o, "accepted: now both VPCs need a route to it")
}

func (s *session) declinePeering(ref string) error {
	o, err := s.resolve(pcxNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := s.rejectPeering(o)
	if err != nil {
		return doing("reject "+o.String(), err)
	}
	return s.done(res, o, "rejected")
}

func (s *session) rejectPeering(o object) (any, error) {
	return change[api.RejectVpcPeeringConnectionResult](s, "RejectVpcPeeringConnection", &api.RejectVpcPeeringConnectionRequest{VpcPeeringConnectionId: o.id})
}

func (s *session) deletePeering(o object) (any, error) {
	return change[api.DeleteVpcPeeringConnectionResult](s, "DeleteVpcPeeringConnection", &api.DeleteVpcPeeringConnectionRequest{VpcPeeringConnectionId: o.id})
}

// alive are the states of a peering that has not ended.
var alive = api.Filter{Name: "status-code", Values: []string{api.VpcPeeringConnectionStateReasonCodePendingAcceptance, api.VpcPeeringConnectionStateReasonCodeActive}}

// findPeerings leaves out what has ended, unless it is named by its id: its name
// is free for another one.
func findPeerings(s *session, ids []string, filters []api.Filter) ([]object, error) {
	if len(ids) == 0 {
		filters = append(filters, alive)
	}
	res, err := ask[api.DescribeVpcPeeringConnectionsResult](s, "DescribeVpcPeeringConnections",
		&api.DescribeVpcPeeringConnectionsRequest{VpcPeeringConnectionIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.VpcPeeringConnections, peeringObject), nil
}

func peeringObject(v *api.VpcPeeringConnection) object {
	return object{kind: pcxWord, id: v.VpcPeeringConnectionId, name: nameOf(v.Tags)}
}

// farSide is the VPC at the other end of a peering, "" where v is at none.
func farSide(p *api.VpcPeeringConnection, v string) string {
	switch v {
	case p.RequesterVpcInfo.VpcId:
		return p.AccepterVpcInfo.VpcId
	case p.AccepterVpcInfo.VpcId:
		return p.RequesterVpcInfo.VpcId
	}
	return ""
}

// peerings lists peerings, those of one VPC where --vpc names one.
func (s *session) peerings(filters ...api.Filter) (*api.DescribeVpcPeeringConnectionsResult, error) {
	id, err := s.scopeID()
	if err != nil {
		return nil, err
	}
	res, err := ask[api.DescribeVpcPeeringConnectionsResult](s, "DescribeVpcPeeringConnections", &api.DescribeVpcPeeringConnectionsRequest{Filters: filters})
	if err != nil || id == "" {
		return res, err
	}
	// No filter asks for either side.
	own := []api.VpcPeeringConnection{}
	for i := range res.VpcPeeringConnections {
		if farSide(&res.VpcPeeringConnections[i], id) != "" {
			own = append(own, res.VpcPeeringConnections[i])
		}
	}
	res.VpcPeeringConnections = own
	return res, nil
}

func (s *session) listPeerings() error {
	res, err := s.peerings()
	if err != nil {
		return doing("list peerings", err)
	}
	vpcs := s.names(vpcNoun)
	t := &table{head: []string{"NAME", "ID", "STATE", "REQUESTER", "ACCEPTER", "EXPIRES", "OWNERS", "TAGS"}, wide: 5}
	var ids []string
	for i := range res.VpcPeeringConnections {
		p := &res.VpcPeeringConnections[i]
		ids = append(ids, p.VpcPeeringConnectionId)
		one, two := p.RequesterVpcInfo, p.AccepterVpcInfo
		t.add(nameOf(p.Tags), p.VpcPeeringConnectionId, p.Status.Code, firstOf(vpcs[one.VpcId], one.VpcId), firstOf(vpcs[two.VpcId], two.VpcId),
			expires(p), one.OwnerId+","+two.OwnerId, tagList(p.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func expires(p *api.VpcPeeringConnection) string {
	if p.ExpirationTime == nil {
		return ""
	}
	return p.ExpirationTime.UTC().Format(time.RFC3339)
}

func (s *session) showPeering(ref string) error {
	o, err := s.resolve(pcxNoun, ref, "")
	if err != nil {
		return err
	}
	p, err := s.peering(o.id)
	if err != nil {
		return doing("show "+o.String(), err)
	}
	vpcs := s.names(vpcNoun)
	side := func(v *api.VpcPeeringConnectionVpcInfo) string {
		var cidrs []string
		for _, c := range v.CidrBlockSet {
			cidrs = append(cidrs, c.CidrBlock)
		}
		return strings.TrimSpace(fmt.Sprintf("%s of %s %s", both(vpcs[v.VpcId], v.VpcId), v.OwnerId, strings.Join(cidrs, ",")))
	}
	res := &api.DescribeVpcPeeringConnectionsResult{VpcPeeringConnections: []api.VpcPeeringConnection{*p}}
	return s.emit(res, []string{o.id}, func() {
		s.fields("Name", nameOf(p.Tags), "Id", p.VpcPeeringConnectionId, "State", p.Status.Code+" ("+p.Status.Message+")",
			"Requester", side(p.RequesterVpcInfo), "Accepter", side(p.AccepterVpcInfo), "Expires", expires(p), "Tags", tagList(p.Tags))
	})
}
