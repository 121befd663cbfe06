package vpcd

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

// ec2 sends a form as an EC2 client does who has env, and returns status and answer.
func ec2(t *testing.T, env *api.GetEnvironmentResult, form string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", env.EndpointUrl, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = r.URL.Host
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4test.Sign(r, form, env.AccessKeyId, env.SecretAccessKey, "ec2", time.Now())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// TestEC2: what the environment says lets an EC2 client in, both encodings act
// on the same objects, and the keys outlive the daemon.
func TestEC2(t *testing.T) {
	cfg := config(t)
	cfg.EC2Listen = "127.0.0.1:0"
	d := start(t, cfg)
	env := do[api.GetEnvironmentRequest, api.GetEnvironmentResult](t, d, "GetEnvironment", api.GetEnvironmentRequest{})
	status, answer := ec2(t, env, "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.9.0.0%2F16")
	if status != 200 || !strings.Contains(answer, "<cidrBlock>10.9.0.0/16</cidrBlock>") {
		t.Fatalf("%d %s", status, answer)
	}
	vpcs := do[api.DescribeVpcsRequest, api.DescribeVpcsResult](t, d, "DescribeVpcs", api.DescribeVpcsRequest{}).Vpcs
	if len(vpcs) != 1 || vpcs[0].CidrBlock != "10.9.0.0/16" || vpcs[0].OwnerId != DefaultAccount {
		t.Errorf("%+v", vpcs)
	}
	if info, err := os.Stat(filepath.Join(cfg.DataDir, "seal.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	d.stop(t)
	// The same port again: it is free as soon as the daemon has ended.
	cfg.EC2Listen = strings.TrimPrefix(env.EndpointUrl, "http://")
	start(t, cfg)
	if status, answer := ec2(t, env, "Action=DescribeVpcs&Version=2016-11-15"); status != 200 || !strings.Contains(answer, vpcs[0].VpcId) {
		t.Errorf("%d %s", status, answer)
	}
}

// TestEC2Refused: a port that must not or cannot be opened is named, and
// nothing is made.
func TestEC2Refused(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, tt := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"taken":         {func(c *Config) { c.EC2Listen = taken.Addr().String() }, "--ec2-listen " + taken.Addr().String()},
		"open, no TLS":  {func(c *Config) { c.EC2Listen = "0.0.0.0:0" }, "--ec2-tls-cert"},
		"no address":    {func(c *Config) { c.EC2Listen = "8773" }, "--ec2-listen"},
		"TLS for none":  {func(c *Config) { c.EC2TLSCert = "cert.pem" }, "--ec2-listen"},
		"half a TLS":    {func(c *Config) { c.EC2Listen, c.EC2TLSKey = "127.0.0.1:0", "key.pem" }, "--ec2-tls-cert"},
		"no such files": {func(c *Config) { c.EC2Listen, c.EC2TLSCert, c.EC2TLSKey = "127.0.0.1:0", "/no/cert", "/no/key" }, "/no/cert"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			tt.edit(&cfg)
			refused(t, cfg, tt.want)
			absent(t, cfg.DataDir, cfg.Socket)
		})
	}
}

// TestBadSealKey: secrets that cannot be read are no reason to make new ones.
func TestBadSealKey(t *testing.T) {
	cfg := config(t)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.DataDir, "seal.key")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, cfg, "--data-dir", path)
	absent(t, cfg.Socket)
}
