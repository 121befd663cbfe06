package cli

import (
	"github.com/vpcfabric/vpc/vpcd/api"
)

// workloads maps instance ids to the target that people recognise. Like names
// it is best effort, and empty when only a program reads the output.
func (s *session) workloads() map[string]string {
	out := map[string]string{}
	if !s.human() {
		return out
	}
	instances, err := s.instances(nil)
	if err != nil {
		return out
	}
	for i := range instances {
		out[instances[i].InstanceId] = targetOf(&instances[i])
	}
	return out
}

// instances lists the workloads that have an ENI.
func (s *session) instances(filters []api.Filter) ([]api.Instance, error) {
	res, err := ask[api.DescribeInstancesResult](s, "DescribeInstances", &api.DescribeInstancesRequest{Filters: filters})
	if err != nil {
		return nil, err
	}
	var out []api.Instance
	for _, r := range res.Reservations {
		out = append(out, r.Instances...)
	}
	return out, nil
}

// targetOf is the attach target of an instance: the daemon gives it as Name.
func targetOf(i *api.Instance) string { return nameOf(i.Tags) }

// workloadOf is who has an ENI, empty when nobody has.
func workloadOf(e *api.NetworkInterface, workloads map[string]string) string {
	if e.Attachment == nil {
		return ""
	}
	return firstOf(workloads[e.Attachment.InstanceId], e.Attachment.InstanceId)
}

// interfacesOf finds the ENIs of a workload, by any name the daemon knows it by.
func (s *session) interfacesOf(target string) ([]object, error) {
	instances, err := s.instances([]api.Filter{{Name: "target", Values: []string{literal(target)}}})
	if err != nil || len(instances) == 0 {
		return nil, err
	}
	var ids []string
	for i := range instances {
		ids = append(ids, instances[i].InstanceId)
	}
	return eniNoun.find(s, nil, []api.Filter{{Name: "attachment.instance-id", Values: ids}})
}
