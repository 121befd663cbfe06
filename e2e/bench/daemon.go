package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

const (
	// patience bounds waiting for something that normally takes milliseconds.
	patience = 20 * time.Second
	// look is how often readiness is asked for.
	look = time.Millisecond
	// pace is how often an attached workload tries a packet.
	pace = 500 * time.Microsecond
	// echoPort is where the interface in the warm subnet answers.
	echoPort = 7777
)

// daemon is a private vpcd.
type daemon struct {
	bin, name, data, socket string
	inside                  string // the namespace that it takes for the host's; "" is the root one
	cmd                     *exec.Cmd
	exited                  chan struct{}
	api                     *client.Client
}

// startDaemon returns when the host is ready. The daemon is returned with an
// error as well once it may have left something.
func startDaemon(ctx context.Context, bin, dir, name string, flags ...string) (*daemon, error) {
	return startDaemonIn(ctx, "", bin, dir, name, flags...)
}

// startDaemonIn is startDaemon in a namespace.
func startDaemonIn(ctx context.Context, inside, bin, dir, name string, flags ...string) (*daemon, error) {
	d := &daemon{bin: bin, name: name, inside: inside, data: filepath.Join(dir, name), socket: filepath.Join(dir, name+".s"), exited: make(chan struct{})}
	d.api = client.New(d.socket)
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = d.vpcd(append([]string{"--name", name, "--data-dir", d.data, "--socket", d.socket}, flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.cmd.Wait(); close(d.exited) }()
	if err := d.ready(ctx); err != nil {
		said, _ := os.ReadFile(log.Name())
		return d, fmt.Errorf("vpcd: %w\n%s", err, said)
	}
	return d, nil
}

// vpcd is the daemon's binary where it runs; nsenter becomes it.
func (d *daemon) vpcd(args ...string) *exec.Cmd {
	binary := filepath.Join(d.bin, "vpcd")
	if d.inside == "" {
		return exec.Command(binary, args...)
	}
	return exec.Command("nsenter", append([]string{"--net=" + netns.Path(d.inside), "--", binary}, args...)...)
}

func (d *daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(look)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-d.exited:
			return fmt.Errorf("it has ended: %v", d.cmd.ProcessState)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-tick.C:
		}
		var res *api.DescribeHostsResult
		res, _, last = client.Call[api.DescribeHostsRequest, api.DescribeHostsResult](ctx, d.api, "DescribeHosts", &api.DescribeHostsRequest{})
		if last == nil && len(res.Hosts) > 0 && res.Hosts[0].State == api.HostStateReady && api.Val(res.Hosts[0].Ready) {
			return nil
		}
	}
}

// remove stops the daemon and takes away all it made.
func (d *daemon) remove() error {
	d.api.Close()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.cmd.Process.Kill()
		<-d.exited
	}
	cmd := d.vpcd("cleanup", "--name", d.name, "--data-dir", d.data, "--purge-data", "--force")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vpcd cleanup: %w\n%s", err, out)
	}
	return nil
}

// vpc runs the command line, which waits until the kernel has it.
func (d *daemon) vpc(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.bin, "vpc"), args...)
	cmd.Env = append(os.Environ(), "VPC_SOCKET="+d.socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("vpc %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// drops is what the data plane refused since it was made, a line each. Traffic
// that is measured should not meet any.
func (d *daemon) drops(ctx context.Context) (out []string, err error) {
	res, _, err := client.Call[api.DescribeDropsRequest, api.DescribeDropsResult](ctx, d.api, "DescribeDrops", &api.DescribeDropsRequest{})
	if err != nil {
		return nil, err
	}
	for _, x := range res.Drops {
		out = append(out, fmt.Sprintf("%s %s/%s: %d packets", x.NetworkInterfaceId, x.Stage, x.Reason, api.Val(x.Packets)))
	}
	return out, nil
}

// measureStarts starts daemons on fresh data, in milliseconds.
func measureStarts(ctx context.Context, w *world, n int) (out []float64, err error) {
	for i := range n {
		start := time.Now()
		d, err := startDaemon(ctx, w.bin, w.dir, fmt.Sprintf("%s-s%d", w.prefix, i))
		took := time.Since(start)
		if d != nil {
			err = errors.Join(err, d.remove())
		}
		if err != nil {
			return out, err
		}
		out = append(out, milliseconds(took))
	}
	return out, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// measureAttaches attaches fresh namespaces to the warm subnet, one after the
// other. The first result is how long the API took to answer, the second how
// long after the answer the first packet came back.
func measureAttaches(ctx context.Context, w *world, n int) (answers, firsts []float64, err error) {
	var echo net.PacketConn
	err = netns.Do(w.warm, func() (err error) {
		echo, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", echoPort))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer echo.Close()
	go answer(echo)
	for range n {
		a, f, err := attachOnce(ctx, w)
		if err != nil {
			return answers, firsts, err
		}
		answers, firsts = append(answers, milliseconds(a)), append(firsts, milliseconds(f))
	}
	return answers, firsts, nil
}

func answer(echo net.PacketConn) {
	buf := make([]byte, 64)
	for {
		n, from, err := echo.ReadFrom(buf)
		if err != nil {
			return // closed
		}
		echo.WriteTo(buf[:n], from)
	}
}

func attachOnce(ctx context.Context, w *world) (answered, first time.Duration, err error) {
	ns, err := w.space("new")
	if err != nil {
		return 0, 0, err
	}
	var sock net.PacketConn
	err = netns.Do(ns, func() (err error) {
		sock, err = net.ListenPacket("udp4", ":0")
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	defer sock.Close()
	start := time.Now()
	_, _, err = client.Call[api.AttachWorkloadRequest, api.AttachWorkloadResult](ctx, w.daemon.api, "AttachWorkload",
		&api.AttachWorkloadRequest{Target: "netns:" + ns, SubnetId: w.subnet})
	if err != nil {
		return 0, 0, err
	}
	said := time.Now()
	if err := firstEcho(ctx, sock, netip.MustParseAddrPort(fmt.Sprintf("10.0.1.10:%d", echoPort))); err != nil {
		return 0, 0, err
	}
	first = time.Since(said)
	sock.Close()
	err = w.daemon.vpc(ctx, "detach", "netns:"+ns)
	return said.Sub(start), first, errors.Join(err, w.dropSpace(ns))
}

// firstEcho sends until one packet has come back. Sending fails until the
// interface has its address; that is what is being waited for.
func firstEcho(ctx context.Context, sock net.PacketConn, to netip.AddrPort) error {
	deadline := time.Now().Add(patience)
	dst := net.UDPAddrFromAddrPort(to)
	buf := make([]byte, 64)
	var last error
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if _, err := sock.WriteTo([]byte("first"), dst); err != nil {
			last = err
		}
		sock.SetReadDeadline(time.Now().Add(pace))
		if _, _, err := sock.ReadFrom(buf); err == nil {
			return nil
		}
	}
	return errors.Join(errors.New("no packet came back"), ctx.Err(), last)
}
