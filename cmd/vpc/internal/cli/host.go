package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func (s *session) hostCommand() *cobra.Command {
	show := verb("show [HOST]", "Show a host", "vpc host show", args(0, 1),
		func(_ *cobra.Command, a []string) error { return s.showHost(append(a, "")[0]) })
	confirm := verb("confirm [HOST]", "Release the brake", "vpc host confirm", args(0, 1),
		func(_ *cobra.Command, a []string) error { return s.confirmHost(append(a, "")[0]) })
	confirm.Long = "Release the brake: let the host remove what the store no longer has a record of.\n\n" +
		"The brake goes on when records are missing without having been deleted, as with an empty or an older store."
	return group("host", "Hosts", "  vpc host show", show, confirm)
}

func (s *session) showHost(name string) error {
	res, err := s.hosts()
	if err != nil {
		return doing("show the host", err)
	}
	var found []api.Host
	for _, h := range res.Hosts {
		if name == "" || h.HostName == name {
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		return &failure{exit: api.ExitNotFound, refusal: api.Error{
			Code: "InvalidHostName.NotFound", Message: fmt.Sprintf("there is no host %s", name), Hint: "vpc status"}}
	}
	res.Hosts = found
	return s.emit(res, hostNames(res), func() {
		for i := range found {
			h := &found[i]
			s.fields("Name", h.HostName, "State", h.State, "Ready", yesNo(h.Ready), "Reasons", strings.Join(h.Reasons, "; "),
				"Workloads", number(h.Workloads), "Subnets", number(h.Subnets), "MTU", number(h.Mtu),
				"Kernel", h.KernelRelease, "Version", h.Version, "Applied revision", number(h.AppliedRevision),
				"Store revision", number(h.StoreRevision), "Store size", number(h.StoreSizeBytes), "Last pass", timeText(h.LastPassTime))
		}
	})
}

// confirmHost does not ask again: the command is the confirmation.
func (s *session) confirmHost(name string) error {
	res, err := change[api.ConfirmHostResult](s, "ConfirmHost", &api.ConfirmHostRequest{HostName: name})
	if err != nil {
		return doing("release the brake", err)
	}
	line := fmt.Sprintf("brake released, %d objects may go", api.Val(res.Confirmed))
	if err := s.emit(res, nil, func() { s.say("%s", line) }); err != nil {
		return err
	}
	return s.wait(line)
}
