package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vpcfabric/vpc/e2e/clients/query"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
)

const (
	// wireSubnets are in place while calls are measured.
	wireSubnets = 1000
	// wireCalls of each action are one round of one server.
	wireCalls = 10
	// opponent is moto's server, which keeps what it is told in memory.
	opponent = "moto"
)

// server answers EC2's Query protocol.
type server struct {
	name string
	*query.Client
	vpc string
}

// wireRow is one action of one server, called one after the other.
type wireRow struct {
	Server, Action string
	// PerSecond has a rate for each round; Latency is of all calls, in milliseconds.
	PerSecond []float64
	Latency   summary
}

// measureWire times calls over the wire with many subnets in place, beside
// moto's server where that is installed. The servers take turns.
func measureWire(ctx context.Context, w *world, rounds int) (rows []wireRow, err error) {
	ours, stop, err := startWire(ctx, w)
	if stop != nil {
		defer func() { err = errors.Join(err, stop()) }()
	}
	if err != nil {
		return nil, err
	}
	servers := []server{ours}
	if moto, stop, err := startMoto(ctx, w); err != nil {
		fmt.Fprintln(os.Stderr, "wire: without moto's server:", err)
	} else {
		defer stop()
		servers = append(servers, moto)
	}
	for i := range servers {
		if err := servers[i].fill(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", servers[i].name, err)
		}
		for _, action := range wireActions {
			rows = append(rows, wireRow{Server: servers[i].name, Action: action})
		}
	}
	for round := range rounds {
		for i := range rows {
			if err := rows[i].measure(ctx, servers[i/len(wireActions)]); err != nil {
				return rows, fmt.Errorf("%s of %s: %w", rows[i].Action, rows[i].Server, err)
			}
		}
		fmt.Fprintf(os.Stderr, "\rwire: round %d of %d ", round+1, rounds)
	}
	fmt.Fprintln(os.Stderr)
	for i := range rows {
		rows[i].Latency = summarise(rows[i].Latency.Raw)
	}
	return rows, nil
}

// wireActions are measured. DescribeSubnets is asked for all of them in one answer.
var wireActions = []string{"DescribeSubnets", "CreateSubnet"}

// measure is one round of one row.
func (r *wireRow) measure(ctx context.Context, s server) error {
	var total time.Duration
	for range wireCalls {
		call := s.describe
		if r.Action == "CreateSubnet" {
			call = s.create
		}
		took, err := call(ctx)
		if err != nil {
			return err
		}
		total += took
		r.Latency.Raw = append(r.Latency.Raw, milliseconds(took))
	}
	r.PerSecond = append(r.PerSecond, wireCalls/total.Seconds())
	return nil
}

// describe lists all subnets. The answer is counted, not decoded: that would be
// half of what is measured, and the client's.
func (s server) describe(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	r, err := s.Request(ctx, "DescribeSubnets", query.Params{"Filter.1.Name": "vpc-id", "Filter.1.Value.1": s.vpc}, start)
	if err != nil {
		return 0, err
	}
	text, err := s.Fetch(r)
	took := time.Since(start)
	if n := bytes.Count(text, []byte("<subnetId>")); err == nil && n != wireSubnets {
		err = fmt.Errorf("%d subnets were listed, want %d", n, wireSubnets)
	}
	return took, err
}

// create makes one more, and removes it outside the time.
func (s server) create(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	id, err := s.subnet(ctx, wireSubnets)
	took := time.Since(start)
	if err != nil {
		return 0, err
	}
	return took, s.Call(ctx, "DeleteSubnet", query.Params{"SubnetId": id}, nil)
}

// subnet makes the i-th /26 of the VPC.
func (s server) subnet(ctx context.Context, i int) (string, error) {
	var out struct {
		ID string `xml:"subnet>subnetId"`
	}
	err := s.Call(ctx, "CreateSubnet", query.Params{"VpcId": s.vpc, "CidrBlock": fmt.Sprintf("10.0.%d.%d/26", i/4, i%4*64)}, &out)
	return out.ID, err
}

func (s *server) fill(ctx context.Context) error {
	var out struct {
		ID string `xml:"vpc>vpcId"`
	}
	if err := s.Call(ctx, "CreateVpc", query.Params{"CidrBlock": "10.0.0.0/16"}, &out); err != nil {
		return err
	}
	s.vpc = out.ID
	for i := range wireSubnets {
		if _, err := s.subnet(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// startWire runs a vpcd of its own with the endpoint on.
func startWire(ctx context.Context, w *world) (server, func() error, error) {
	d, err := startDaemon(ctx, w.bin, w.dir, w.prefix+"-w", "--ec2-listen", "127.0.0.1:0", "--limit", fmt.Sprintf("subnets-per-vpc=%d", wireSubnets+1))
	if err != nil {
		if d != nil {
			return server{}, d.remove, err
		}
		return server{}, nil, err
	}
	env, _, err := client.Call[api.GetEnvironmentRequest, api.GetEnvironmentResult](ctx, d.api, "GetEnvironment", &api.GetEnvironmentRequest{})
	if err != nil {
		return server{}, d.remove, err
	}
	c := &query.Client{URL: env.EndpointUrl, Region: env.Region, ID: env.AccessKeyId, Secret: env.SecretAccessKey}
	return server{name: "vpcd", Client: c}, d.remove, nil
}

// startMoto runs moto's server; the error says why there is none.
func startMoto(ctx context.Context, w *world) (server, func(), error) {
	program := cmp.Or(os.Getenv("VPC_MOTO"), found("moto_server"))
	if program == "" {
		return server{}, nil, errors.New("no moto_server: install it, or name it with VPC_MOTO")
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return server{}, nil, err
	}
	at := free.Addr().(*net.TCPAddr)
	free.Close()
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", fmt.Sprint(at.Port))
	cmd.Env = append(os.Environ(), "MOTO_CALL_RESET_API=false")
	// Launchers start it as a child: the whole group ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return server{}, nil, err
	}
	stop := func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
	s := server{name: opponent, Client: &query.Client{URL: "http://" + at.String(), Region: "us-east-1", ID: "AKIAAAAAAAAAAAAAAAAA", Secret: "secret"}}
	if err := s.await(ctx); err != nil {
		stop()
		return server{}, nil, err
	}
	return s, stop, nil
}

// found looks in PATH and where Python's tools are put.
func found(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/local/bin", "/opt/*/bin", "/root/.pyenv/versions/*/bin", "/home/*/.pyenv/versions/*/bin"} {
		if paths, _ := filepath.Glob(filepath.Join(dir, name)); len(paths) > 0 { // the patterns are well-formed
			return paths[0]
		}
	}
	return ""
}

// await asks until the server answers.
func (s server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * look)
	defer tick.Stop()
	for {
		err := s.Call(ctx, "DescribeRegions", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", s.name, err)
		case <-tick.C:
		}
	}
}
