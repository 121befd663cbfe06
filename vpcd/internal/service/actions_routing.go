package service

// routing are the actions that decide what leaves a subnet, and by which way.
func (s *Service) routing() map[string]Handler {
	return map[string]Handler{
		"CreateRouteTable":                  action(s.createRouteTable),
		"DeleteRouteTable":                  action(s.deleteRouteTable),
		"DescribeRouteTables":               action(s.describeRouteTables),
		"AssociateRouteTable":               action(s.associateRouteTable),
		"DisassociateRouteTable":            action(s.disassociateRouteTable),
		"ReplaceRouteTableAssociation":      action(s.replaceRouteTableAssociation),
		"CreateRoute":                       action(s.createRoute),
		"ReplaceRoute":                      action(s.replaceRoute),
		"DeleteRoute":                       action(s.deleteRoute),
		"CreateInternetGateway":             action(s.createInternetGateway),
		"DeleteInternetGateway":             action(s.deleteInternetGateway),
		"DescribeInternetGateways":          action(s.describeInternetGateways),
		"AttachInternetGateway":             action(s.attachInternetGateway),
		"DetachInternetGateway":             action(s.detachInternetGateway),
		"CreateVpcPeeringConnection":        action(s.createVpcPeeringConnection),
		"AcceptVpcPeeringConnection":        action(s.acceptVpcPeeringConnection),
		"RejectVpcPeeringConnection":        action(s.rejectVpcPeeringConnection),
		"DeleteVpcPeeringConnection":        action(s.deleteVpcPeeringConnection),
		"DescribeVpcPeeringConnections":     action(s.describeVpcPeeringConnections),
		"ModifyVpcPeeringConnectionOptions": action(s.modifyVpcPeeringConnectionOptions),
		"DescribeSecurityGroupReferences":   action(s.describeSecurityGroupReferences),
		"DescribeStaleSecurityGroups":       action(s.describeStaleSecurityGroups),
		"AllocateAddress":                   action(s.allocateAddress),
		"AssociateAddress":                  action(s.associateAddress),
		"DisassociateAddress":               action(s.disassociateAddress),
		"ReleaseAddress":                    action(s.releaseElastic),
		"DescribeAddresses":                 action(s.describeAddresses),
		"DescribeAddressesAttribute":        action(s.describeAddressesAttribute),

		"CreateNatGateway":                 action(s.createNatGateway),
		"DeleteNatGateway":                 action(s.deleteNatGateway),
		"DescribeNatGateways":              action(s.describeNatGateways),
		"AssociateNatGatewayAddress":       action(s.associateNatGatewayAddress),
		"DisassociateNatGatewayAddress":    action(s.disassociateNatGatewayAddress),
		"AssignPrivateNatGatewayAddress":   action(s.assignPrivateNatGatewayAddress),
		"UnassignPrivateNatGatewayAddress": action(s.unassignPrivateNatGatewayAddress),
	}
}
