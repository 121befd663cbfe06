package cli

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) eipCommand() *cobra.Command {
	list := verb("list", "List elastic IPs", "vpc eip list", args(0, 0),
		func(*cobra.Command, []string) error { return s.listElastics() })
	show := verb("show EIP", "Show an elastic IP", "vpc eip show www\nvpc eip show 198.18.0.7", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.showElastic(a[0]) })
	release := verb("release EIP…", "Give elastic IPs back", "vpc eip release www", args(1, anyNumber),
		func(_ *cobra.Command, a []string) error { return s.removed(eipNoun, a, "release", s.releaseElastic) })
	release.Aliases = []string{"rm", "delete", "del"}
	disassociate := verb("disassociate EIP", "Take an elastic IP off its ENI", "vpc eip disassociate www", args(1, 1),
		func(_ *cobra.Command, a []string) error { return s.disassociateElastic(a[0]) })
	for _, cmd := range []*cobra.Command{show, release, disassociate} {
		s.completeArgs(cmd, eipNoun)
	}
	cmd := group("eip", "Elastic IPs", "  vpc eip allocate www\n  vpc eip associate www --eni web1", s.eipAllocate(), list, show, s.eipSet(), s.eipAssociate(), disassociate, release)
	cmd.Long = "Elastic IPs are public addresses that stay yours until you release them.\n" +
		"An EIP is a name, an id, or the address itself."
	return cmd
}

func (s *session) eipAllocate() *cobra.Command {
	var address string
	var tags []string
	cmd := verb("allocate [NAME]", "Get an elastic IP", "vpc eip allocate www\nvpc eip allocate --address 198.18.0.7", args(0, 1),
		func(_ *cobra.Command, a []string) error {
			return doing("allocate an elastic IP", s.allocate(strings.Join(a, ""), address, tags))
		})
	cmd.Aliases = []string{"add", "create"}
	cmd.Flags().StringVar(&address, "address", "", "this address of a public pool (default: one that rests longest)")
	cmd.Flags().StringArrayVar(&tags, "tag", nil, "KEY=VALUE, may be repeated")
	return cmd
}

func (s *session) allocate(name, address string, pairs []string) error {
	tags, err := nameTags(eipNoun, name, pairs)
	if err != nil {
		return err
	}
	if name != "" {
		if err := s.newName(eipNoun, name, ""); err != nil {
			return err
		}
	}
	res, err := change[api.AllocateAddressResult](s, "AllocateAddress", &api.AllocateAddressRequest{Address: address, TagSpecifications: tags})
	if err != nil {
		return err
	}
	return s.done(res, object{kind: "eip", id: res.AllocationId, name: firstOf(name, res.PublicIp)}, "allocated with "+res.PublicIp)
}

func (s *session) eipSet() *cobra.Command {
	var name string
	cmd := verb("set EIP", "Change an elastic IP", "vpc eip set 198.18.0.7 --name www", args(1, 1),
		func(cmd *cobra.Command, a []string) error {
			o, err := s.resolve(eipNoun, a[0], "")
			if err != nil {
				return err
			}
			return s.set(o, changed(cmd, map[string]func() error{
				"name": func() error { return s.rename(eipNoun, o, name) },
			}))
		})
	cmd.Flags().StringVar(&name, "name", "", "new name")
	s.completeArgs(cmd, eipNoun)
	return cmd
}

// mapping are the flags of eip associate.
type mapping struct {
	eni, private string
	noMove       bool
}

func (s *session) eipAssociate() *cobra.Command {
	var m mapping
	cmd := verb("associate EIP --eni ENI", "Give an ENI an elastic IP",
		"vpc eip associate www --eni docker:web1\nvpc eip associate 198.18.0.7 --eni web1 --ip 10.0.1.11", args(1, 1),
		func(_ *cobra.Command, a []string) error {
			if m.eni == "" {
				return usagef("vpc eip associate needs --eni")
			}
			return s.associateElastic(a[0], &m)
		})
	cmd.Long = "Give an ENI an elastic IP. One that another ENI has moves."
	f := cmd.Flags()
	f.StringVar(&m.eni, "eni", "", "ENI, or the workload that has it")
	f.StringVar(&m.private, "ip", "", "the private address it stands for (default: the primary one)")
	f.BoolVar(&m.noMove, "no-move", false, "refuse if another ENI has it")
	s.completeArgs(cmd, eipNoun)
	s.completeFlag(cmd, "eni", eniNoun)
	return cmd
}

func (s *session) associateElastic(ref string, m *mapping) error {
	o, err := s.resolve(eipNoun, ref, "")
	if err != nil {
		return err
	}
	e, err := s.scoped(eniNoun, m.eni)
	if err != nil {
		return err
	}
	req := &api.AssociateAddressRequest{AllocationId: o.id, NetworkInterfaceId: e.id, PrivateIpAddress: m.private}
	if m.noMove {
		req.AllowReassociation = api.Ptr(false)
	}
	before := s.associationBefore(e, m.private)
	res, err := change[api.AssociateAddressResult](s, "AssociateAddress", req)
	if err != nil {
		return doing(fmt.Sprintf("associate %s with %s", o, e), err)
	}
	return s.done(res, o, "associated with "+e.String()+inPlaceOf(before, o))
}

// associationBefore is what a private address of an ENI has, the primary one for
// "". Like names it is best effort, and for people.
func (s *session) associationBefore(eni object, private string) api.NetworkInterfaceAssociation {
	if !s.human() {
		return api.NetworkInterfaceAssociation{}
	}
	res, err := ask[api.DescribeNetworkInterfacesResult](s, "DescribeNetworkInterfaces", &api.DescribeNetworkInterfacesRequest{NetworkInterfaceIds: []string{eni.id}})
	if err != nil {
		return api.NetworkInterfaceAssociation{}
	}
	for i := range res.NetworkInterfaces {
		e := &res.NetworkInterfaces[i]
		for _, p := range e.PrivateIpAddresses {
			if p.PrivateIpAddress == firstOf(private, e.PrivateIpAddress) {
				return api.Val(p.Association)
			}
		}
	}
	return api.NetworkInterfaceAssociation{}
}

// inPlaceOf says what had to make room: an elastic IP stays its owner's.
func inPlaceOf(before api.NetworkInterfaceAssociation, now object) string {
	switch {
	case before.PublicIp == "" || before.AllocationId == now.id:
		return ""
	case before.AllocationId == "":
		return " in place of " + before.PublicIp + ", which it had by itself and has given back"
	}
	return " in place of eip " + before.PublicIp + ", which is associated with nothing now"
}

// disassociateElastic looks the association up: people know addresses.
func (s *session) disassociateElastic(ref string) error {
	o, err := s.resolve(eipNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeAddressesResult](s, "DescribeAddresses", &api.DescribeAddressesRequest{AllocationIds: []string{o.id}})
	if err != nil {
		return doing("find the association of "+o.String(), err)
	}
	id := ""
	for _, a := range res.Addresses {
		id = a.AssociationId
	}
	if id == "" {
		return doing("disassociate "+o.String(), &failure{exit: api.ExitNotFound, refusal: api.Error{
			Code: "InvalidAssociationID.NotFound", Message: "it is associated with nothing", Hint: "vpc eip list"}})
	}
	out, err := change[api.DisassociateAddressResult](s, "DisassociateAddress", &api.DisassociateAddressRequest{AssociationId: id})
	if err != nil {
		return doing("disassociate "+o.String(), err)
	}
	return s.done(out, o, "disassociated")
}

func (s *session) releaseElastic(o object) (any, error) {
	return change[api.ReleaseAddressResult](s, "ReleaseAddress", &api.ReleaseAddressRequest{AllocationId: o.id})
}

func findElastics(s *session, ids []string, filters []api.Filter) ([]object, error) {
	res, err := ask[api.DescribeAddressesResult](s, "DescribeAddresses", &api.DescribeAddressesRequest{AllocationIds: ids, Filters: filters})
	if err != nil {
		return nil, err
	}
	return objects(res.Addresses, elasticObject), nil
}

// elasticObject goes by its address where it has no name.
func elasticObject(v *api.Address) object {
	return object{kind: "eip", id: v.AllocationId, name: firstOf(nameOf(v.Tags), v.PublicIp)}
}

// elasticFilter finds an elastic IP by its address, or nothing for a name.
func elasticFilter(ref string) []api.Filter {
	if _, err := netip.ParseAddr(ref); err != nil {
		return nil
	}
	return []api.Filter{{Name: "public-ip", Values: []string{ref}}}
}

func (s *session) listElastics() error {
	res, err := ask[api.DescribeAddressesResult](s, "DescribeAddresses", &api.DescribeAddressesRequest{})
	if err != nil {
		return doing("list elastic IPs", err)
	}
	enis := s.names(eniNoun)
	t := &table{head: []string{"NAME", "ADDRESS", "ID", "ENI", "PRIVATE", "ASSOCIATION", "INSTANCE", "TAGS"}, wide: 5}
	var ids []string
	for i := range res.Addresses {
		a := &res.Addresses[i]
		ids = append(ids, a.AllocationId)
		t.add(nameOf(a.Tags), a.PublicIp, a.AllocationId, firstOf(enis[a.NetworkInterfaceId], a.NetworkInterfaceId), a.PrivateIpAddress,
			a.AssociationId, a.InstanceId, tagList(a.Tags))
	}
	return s.emit(res, ids, func() { s.print(t) })
}

func (s *session) showElastic(ref string) error {
	o, err := s.resolve(eipNoun, ref, "")
	if err != nil {
		return err
	}
	res, err := ask[api.DescribeAddressesResult](s, "DescribeAddresses", &api.DescribeAddressesRequest{AllocationIds: []string{o.id}})
	if err != nil {
		return doing("show "+o.String(), err)
	}
	enis := s.names(eniNoun)
	return s.emit(res, []string{o.id}, func() {
		for i := range res.Addresses {
			a := &res.Addresses[i]
			s.fields("Name", nameOf(a.Tags), "Address", a.PublicIp, "Id", a.AllocationId, "ENI", both(enis[a.NetworkInterfaceId], a.NetworkInterfaceId),
				"Private address", a.PrivateIpAddress, "Association", a.AssociationId, "Instance", a.InstanceId, "Tags", tagList(a.Tags))
		}
	})
}

// publicAddresses are those of an ENI, each with the private one it stands for
// where that is not the primary one.
func publicAddresses(e *api.NetworkInterface) string {
	var out []string
	for _, p := range e.PrivateIpAddresses {
		switch a := api.Val(p.Association); {
		case a.PublicIp == "":
		case p.PrivateIpAddress == e.PrivateIpAddress:
			out = append(out, a.PublicIp)
		default:
			out = append(out, a.PublicIp+"="+p.PrivateIpAddress)
		}
	}
	return strings.Join(out, ",")
}
