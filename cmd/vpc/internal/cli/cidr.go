package cli

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) cidrCommand() *cobra.Command {
	add := verb("add VPC CIDR", "Add a CIDR to a VPC", "vpc cidr add prod 10.1.0.0/16", args(2, 2),
		func(_ *cobra.Command, a []string) error {
			o, err := s.resolve(vpcNoun, a[0], "")
			if err != nil {
				return err
			}
			return doing("add CIDR "+a[1]+" to "+o.String(), s.addCidr(o, a[1]))
		})
	rm := verb("rm VPC CIDR", "Remove a CIDR from a VPC", "vpc cidr rm prod 10.1.0.0/16", args(2, 2),
		func(_ *cobra.Command, a []string) error {
			o, err := s.resolve(vpcNoun, a[0], "")
			if err != nil {
				return err
			}
			return doing("remove CIDR "+a[1]+" from "+o.String(), s.removeCidr(o, a[1]))
		})
	s.completeArgs(add, vpcNoun)
	s.completeArgs(rm, vpcNoun)
	return group("cidr", "CIDRs of a VPC", "  vpc cidr add prod 10.1.0.0/16", add, rm)
}

// addCidr reports the CIDR as the daemon took it, without host bits.
func (s *session) addCidr(o object, cidr string) error {
	res, err := change[api.AssociateVpcCidrBlockResult](s, "AssociateVpcCidrBlock",
		&api.AssociateVpcCidrBlockRequest{VpcId: o.id, CidrBlock: cidr})
	if err != nil {
		return err
	}
	if a := res.CidrBlockAssociation; a != nil {
		cidr = a.CidrBlock
	}
	return s.done(res, o, "has CIDR "+cidr+" too")
}

func (s *session) removeCidr(o object, cidr string) error {
	id, err := s.associationOf(o, cidr)
	if err != nil {
		return err
	}
	res, err := change[api.DisassociateVpcCidrBlockResult](s, "DisassociateVpcCidrBlock",
		&api.DisassociateVpcCidrBlockRequest{AssociationId: id})
	if err != nil {
		return err
	}
	return s.done(res, o, "no longer has CIDR "+cidr)
}

// associationOf finds the association of a CIDR, which may be spelled with
// host bits as it was when it was added.
func (s *session) associationOf(o object, cidr string) (string, error) {
	if strings.HasPrefix(cidr, "vpc-cidr-assoc-") {
		return cidr, nil
	}
	want, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", refusef("CidrBlock", "%s is not a CIDR", cidr)
	}
	res, err := ask[api.DescribeVpcsResult](s, "DescribeVpcs", &api.DescribeVpcsRequest{VpcIds: []string{o.id}})
	if err != nil {
		return "", err
	}
	for _, v := range res.Vpcs {
		for _, a := range v.CidrBlockAssociationSet {
			if a.CidrBlock == want.Masked().String() {
				return a.AssociationId, nil
			}
		}
	}
	return "", &failure{exit: api.ExitNotFound, refusal: api.Error{Code: "InvalidVpcCidrBlockAssociationID.NotFound",
		Message: "it has no such CIDR", Hint: "vpc show " + o.arg()}}
}
