package cli

import (
	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) eniStats() *cobra.Command {
	cmd := verb("stats [ENI…]", "Show what ENIs have of connection tracking", "vpc eni stats\nvpc eni stats web1 -o json", args(0, anyNumber),
		func(_ *cobra.Command, refs []string) error {
			ids, all, err := s.interfacesAmong(refs)
			if err != nil {
				return err
			}
			return s.showStatistics(ids, all)
		})
	cmd.Long = "Show counters of the ENIs that have a workload.\n\n" +
		"FLOWS are the connections that an ENI has opened, HALF-OPEN those of TCP that nobody has answered, each of the most it may have. " +
		"AVAILABLE is what is left, EXCEEDED the packets that were dropped for want of it: " +
		"in JSON and YAML conntrack_allowance_available and conntrack_allowance_exceeded, as `ethtool -S` shows them on an EC2 instance."
	s.completeArgs(cmd, eniNoun)
	return cmd
}

// interfacesAmong are the ENIs that references name, those of --vpc without any,
// or all.
func (s *session) interfacesAmong(refs []string) (ids []string, all bool, err error) {
	vpcID, err := s.scopeID()
	if err != nil {
		return nil, false, err
	}
	if len(refs) > 0 {
		ids, err = s.resolveAll(eniNoun, refs, vpcID)
		return ids, false, err
	}
	if vpcID == "" {
		return nil, true, nil
	}
	found, err := findInterfaces(s, nil, inVpc(vpcID))
	for _, o := range found {
		ids = append(ids, o.id)
	}
	return ids, false, doing("list ENIs", err)
}

// showStatistics prints a line for each ENI that the daemon has counters of.
func (s *session) showStatistics(ids []string, all bool) error {
	res := &api.DescribeNetworkInterfaceStatisticsResult{NetworkInterfaceStatistics: []api.NetworkInterfaceStatistics{}}
	// To the daemon no ENI means all.
	if len(ids) > 0 || all {
		var err error
		res, err = ask[api.DescribeNetworkInterfaceStatisticsResult](s, "DescribeNetworkInterfaceStatistics",
			&api.DescribeNetworkInterfaceStatisticsRequest{NetworkInterfaceIds: ids})
		if err != nil {
			return doing("read the counters of ENIs", err)
		}
	}
	names := s.names(eniNoun)
	t := &table{head: []string{"ENI", "FLOWS", "HALF-OPEN", "AVAILABLE", "EXCEEDED"}}
	var enis []string
	for _, one := range res.NetworkInterfaceStatistics {
		enis = append(enis, one.NetworkInterfaceId)
		of := map[string]*int64{}
		for _, c := range one.Counters {
			of[c.Name] = c.Value
		}
		t.add(firstOf(names[one.NetworkInterfaceId], one.NetworkInterfaceId),
			ofMost(of["conntrack_flows"], of["conntrack_allowance"]), ofMost(of["conntrack_half_open_flows"], of["conntrack_half_open_allowance"]),
			number(of["conntrack_allowance_available"]), number(of["conntrack_allowance_exceeded"]))
	}
	return s.emit(res, enis, func() { s.print(t) })
}

// ofMost is "3/100", or what is known of it.
func ofMost(n, most *int64) string {
	if n == nil || most == nil {
		return number(n)
	}
	return number(n) + "/" + number(most)
}

func (s *session) natStats() *cobra.Command {
	cmd := verb("stats [NAT…]", "Show what NAT gateways have counted", "vpc nat stats\nvpc nat stats egress -o json", args(0, anyNumber),
		func(_ *cobra.Command, refs []string) error {
			ids, all, err := s.natsAmong(refs)
			if err != nil {
				return err
			}
			return s.showNatStatistics(ids, all)
		})
	cmd.Long = "Show the counters of NAT gateways, under CloudWatch's names, since the gateway was made or the host started.\n\n" +
		"ErrorPortAllocation counts connections that failed because all ports to their destination were in use: more addresses help, vpc nat associate."
	s.completeArgs(cmd, natNoun)
	return cmd
}

// natsAmong is interfacesAmong for NAT gateways.
func (s *session) natsAmong(refs []string) (ids []string, all bool, err error) {
	vpcID, err := s.scopeID()
	if err != nil {
		return nil, false, err
	}
	if len(refs) > 0 {
		ids, err = s.resolveAll(natNoun, refs, vpcID)
		return ids, false, err
	}
	if vpcID == "" {
		return nil, true, nil
	}
	found, err := findNats(s, nil, inVpc(vpcID))
	for _, o := range found {
		ids = append(ids, o.id)
	}
	return ids, false, doing("list NAT gateways", err)
}

// showNatStatistics prints a line for each counter: there are too many for columns.
func (s *session) showNatStatistics(ids []string, all bool) error {
	res := &api.DescribeNatGatewayStatisticsResult{NatGatewayStatistics: []api.NatGatewayStatistics{}}
	// To the daemon no gateway means all.
	if len(ids) > 0 || all {
		var err error
		res, err = ask[api.DescribeNatGatewayStatisticsResult](s, "DescribeNatGatewayStatistics",
			&api.DescribeNatGatewayStatisticsRequest{NatGatewayIds: ids})
		if err != nil {
			return doing("read the counters of NAT gateways", err)
		}
	}
	names := s.names(natNoun)
	t := &table{head: []string{"NAT", "COUNTER", "VALUE"}}
	var nats []string
	for _, one := range res.NatGatewayStatistics {
		nats = append(nats, one.NatGatewayId)
		for _, c := range one.Counters {
			t.add(firstOf(names[one.NatGatewayId], one.NatGatewayId), c.Name, number(c.Value))
		}
	}
	return s.emit(res, nats, func() { s.print(t) })
}
