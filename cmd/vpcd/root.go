package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vpcfabric/vpc/vpcd"
)

const (
	defaultDataDir = "/var/lib/vpcd"
	defaultSocket  = "/run/vpcd/vpcd.sock"
)

// root runs the daemon; its subcommands look after what it leaves.
func root(run func(context.Context, vpcd.Config) error) *cobra.Command {
	var (
		cfg    vpcd.Config
		limits []string
	)
	cmd := &cobra.Command{
		Use:   "vpcd",
		Short: "AWS-VPC networking for this host",
		Long: "vpcd keeps the VPCs of this host: it answers `vpc` on a unix socket and makes the kernel follow.\n" +
			"Stopping it leaves the data plane running; `vpcd cleanup` removes everything.",
		Example:       "  vpcd\n  vpcd --name lab --data-dir /tmp/lab --socket /tmp/lab.sock",
		Version:       version,
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromFileAndEnv(cmd); err != nil {
				return err
			}
			var err error
			if cfg.Limits, err = parseLimits(limits); err != nil {
				return err
			}
			cfg.Version = version
			cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			notify := newNotifier()
			cfg.Ready, cfg.Alive = notify.ready, notify.alive
			cfg.Step = crashStep()
			return run(cmd.Context(), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Name, "name", defaultName(), "name of this host; marks every kernel object")
	f.StringVar(&cfg.DataDir, "data-dir", defaultDataDir, "state directory")
	f.StringVar(&cfg.Socket, "socket", defaultSocket, "unix socket for vpc")
	f.StringVar(&cfg.SocketGroup, "socket-group", "vpc", "group that may use the socket, if it exists; its members are as root")
	f.StringVar(&cfg.Account, "account", vpcd.DefaultAccount, "account that owns what comes over the socket")
	f.StringVar(&cfg.EC2Listen, "ec2-listen", "", "IP:PORT for AWS's own tools, such as 127.0.0.1:8773; port 0 picks one (default: off)")
	f.StringVar(&cfg.EC2TLSCert, "ec2-tls-cert", "", "certificate for --ec2-listen, PEM; needed beyond a loopback address")
	f.StringVar(&cfg.EC2TLSKey, "ec2-tls-key", "", "private key of that certificate, PEM")
	f.IntVar(&cfg.MTU, "mtu", 0, "MTU inside VPCs, bytes (default: the default route's less 50)")
	f.Uint32Var(&cfg.FlowTable, "flow-table", 262144, "flow entries; two make a connection")
	f.StringArrayVar(&limits, "limit", nil, "quota NAME=N; repeatable")
	f.BoolVar(&cfg.StrictCIDRs, "strict-cidrs", false, "apply AWS's table of restricted CIDR associations")
	f.StringArrayVar(&cfg.PublicPools, "public-pool", nil, "CIDR[,MODE] that public addresses come from; repeatable. Its first address is the host's. MODE says what the world knows: nat (nothing: the host hides it), arp (a part of the network the host is in), routed (the network leads it here) (default: "+vpcd.DefaultPool+")")
	f.StringArrayVar(&cfg.PublicAllow, "public-allow", nil, "private CIDR that is reached through internet gateways all the same, such as the host's network; repeatable")
	f.StringVar(&cfg.NATPorts, "nat-ports", "", "ports that NAT gateways translate to, FIRST-LAST (default: 1024-65535)")
	f.DurationVar(&cfg.NATIdle, "nat-idle", 0, "after what time without a packet NAT gateways forget a connection (default: 350s)")
	f.StringVar(&cfg.DockerSocket, "docker-socket", "/var/run/docker.sock", "Docker Engine's API")
	f.String(configFlag, "", "YAML file with the same names")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(cleanupCmd(), backupCmd(), restoreCmd(), doctorCmd())
	cmd.AddCommand(crashCommands()...)
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unknown command or argument %q; see vpcd --help", args[0])}
	}
	return nil
}

// defaultName is the short host name in the alphabet of names.
func defaultName() string {
	h, err := os.Hostname()
	if err != nil {
		return "host"
	}
	return nameOf(h)
}

func nameOf(h string) string {
	h, _, _ = strings.Cut(strings.ToLower(h), ".")
	h = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, h)
	if h = strings.Trim(h[:min(len(h), 24)], "-"); h == "" {
		return "host"
	}
	return h
}

func parseLimits(in []string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, s := range in {
		name, value, ok := strings.Cut(s, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("%w: --limit %q: NAME=NUMBER; `vpc limits` lists the names", vpcd.ErrRefused, s)
		}
		out[name] = n
	}
	if err := vpcd.CheckLimits(out); err != nil {
		return nil, fmt.Errorf("%w: --limit: %w", vpcd.ErrRefused, err)
	}
	return out, nil
}
