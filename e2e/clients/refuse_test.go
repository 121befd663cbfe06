package clients

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/clients/query"
	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// vpcs counts an account's VPCs: what is refused must make none.
func (h *host) vpcs(account string) int {
	h.Helper()
	return len(ask[api.DescribeVpcsResult](h, account, "list").Vpcs)
}

// fault is the status and code of an error of the small client.
func fault(err error) query.Fault {
	var f *query.Fault
	if !errors.As(err, &f) {
		return query.Fault{}
	}
	return query.Fault{Status: f.Status, Code: f.Code}
}

// TestWhoIsRefused spoils one thing of a request that is otherwise good. The
// good one passes before and after, and nothing else changes anything.
func TestWhoIsRefused(t *testing.T) {
	h := startHost(t)
	c := h.env(account).client()
	ctx := context.Background()
	good := func() {
		t.Helper()
		if err := c.Call(ctx, "DescribeVpcs", nil, nil); err != nil {
			t.Fatalf("the control: %v", err)
		}
	}
	create := func(at time.Time) *http.Request {
		t.Helper()
		r, err := c.Request(ctx, "CreateVpc", query.Params{"CidrBlock": "10.0.0.0/16"}, at)
		h.must(err)
		return r
	}
	resign := func(r *http.Request, who *query.Client) {
		t.Helper()
		body, err := r.GetBody()
		h.must(err)
		text, err := io.ReadAll(body)
		h.must(err)
		r.Header.Del("Authorization")
		who.Sign(r, text, "ec2", time.Now())
	}
	good()
	for _, row := range []struct {
		what  string
		spoil func(r *http.Request) *http.Request
		want  query.Fault
	}{
		{"another secret", func(r *http.Request) *http.Request {
			wrong := *c
			wrong.Secret = strings.Repeat("x", len(c.Secret))
			resign(r, &wrong)
			return r
		}, query.Fault{Status: 401, Code: "AuthFailure"}},
		{"a key that does not exist", func(r *http.Request) *http.Request {
			unknown := *c
			unknown.ID = "AKIAAAAAAAAAAAAAAAAA"
			resign(r, &unknown)
			return r
		}, query.Fault{Status: 401, Code: "AuthFailure"}},
		{"an old request", func(*http.Request) *http.Request { return create(time.Now().Add(-16 * time.Minute)) }, query.Fault{Status: 400, Code: "RequestExpired"}},
		{"a request of the future", func(*http.Request) *http.Request { return create(time.Now().Add(16 * time.Minute)) }, query.Fault{Status: 400, Code: "RequestExpired"}},
		{"a tampered body", func(r *http.Request) *http.Request {
			text := strings.Replace(bodyOf(r), "10.0", "11.0", 1)
			r.Body = io.NopCloser(strings.NewReader(text))
			return r
		}, query.Fault{Status: 401, Code: "AuthFailure"}},
		{"no signature", func(r *http.Request) *http.Request { r.Header.Del("Authorization"); return r }, query.Fault{Status: 400, Code: "MissingAuthenticationToken"}},
		{"another host", func(r *http.Request) *http.Request { r.Host = "evil.example"; resign(r, c); return r }, query.Fault{Status: 403, Code: "UnauthorizedOperation"}},
		{"a web page", func(r *http.Request) *http.Request {
			r.Header.Set("Origin", "https://evil.example")
			resign(r, c)
			return r
		}, query.Fault{Status: 403, Code: "UnauthorizedOperation"}},
	} {
		err := c.Send(row.spoil(create(time.Now())), nil)
		if got := fault(err); got != row.want {
			t.Errorf("%s: %v, want %+v", row.what, err, row.want)
		}
	}
	good()
	if n := h.vpcs(account); n != 0 {
		t.Errorf("refused requests have made %d VPCs", n)
	}
}

func bodyOf(r *http.Request) string {
	body, err := r.GetBody()
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(body) // it is in memory
	return string(text)
}

// TestOtherAccountsDoNotExist: an id of somebody else answers as one of nobody.
func TestOtherAccountsDoNotExist(t *testing.T) {
	h := startHost(t)
	ctx := context.Background()
	const other = "000000000002"
	theirs := ask[api.CreateVpcResult](h, other, "create", "theirs", "--cidr", "10.0.0.0/16").Vpc.VpcId
	subnet := ask[api.CreateSubnetResult](h, other, "subnet", "add", "s", "--vpc", theirs, "--cidr", "10.0.1.0/24").Subnet.SubnetId
	mine := h.env(account).client()
	for _, row := range []struct {
		action string
		params query.Params
		code   string
	}{
		{"DescribeVpcs", query.Params{"VpcId.1": theirs}, "InvalidVpcID.NotFound"},
		{"DeleteVpc", query.Params{"VpcId": theirs}, "InvalidVpcID.NotFound"},
		{"CreateSubnet", query.Params{"VpcId": theirs, "CidrBlock": "10.0.2.0/24"}, "InvalidVpcID.NotFound"},
		{"DeleteSubnet", query.Params{"SubnetId": subnet}, "InvalidSubnetID.NotFound"},
		{"CreateNetworkInterface", query.Params{"SubnetId": subnet}, "InvalidSubnetID.NotFound"},
		{"CreateSecurityGroup", query.Params{"VpcId": theirs, "GroupName": "g", "GroupDescription": "d"}, "InvalidVpcID.NotFound"},
		{"CreateTags", query.Params{"ResourceId.1": theirs, "Tag.1.Key": "k", "Tag.1.Value": "v"}, "InvalidVpcID.NotFound"},
	} {
		if err := mine.Call(ctx, row.action, row.params, nil); fault(err).Code != row.code {
			t.Errorf("%s: %v, want %s", row.action, err, row.code)
		}
	}
	// The control: whose it is can do the last of these.
	if err := h.env(other).client().Call(ctx, "CreateTags", query.Params{"ResourceId.1": theirs, "Tag.1.Key": "k", "Tag.1.Value": "v"}, nil); err != nil {
		t.Error(err)
	}
	var all struct {
		IDs []string `xml:"vpcSet>item>vpcId"`
	}
	if err := mine.Call(ctx, "DescribeVpcs", nil, &all); err != nil || len(all.IDs) != 0 {
		t.Errorf("another account lists %v, %v", all.IDs, err)
	}
}

// TestTheWorldNeedsTLS: an address that others can reach is refused without a
// certificate, before anything is made.
func TestTheWorldNeedsTLS(t *testing.T) {
	h := newHost(t)
	scope := meter.Scope{Host: h.name, Bin: bin}
	before, err := meter.Take(scope)
	h.must(err)
	for _, at := range []string{"0.0.0.0:0", "[::]:0", "192.0.2.1:8773"} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		out, err := h.vpcd(ctx, "--ec2-listen", at).CombinedOutput()
		cancel()
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) || exit.ExitCode() != 8 || !bytes.Contains(out, []byte("--ec2-tls-cert")) {
			t.Errorf("--ec2-listen %s: %v, want exit code 8 and the flag's name: %s", at, err, out)
		}
	}
	h.noLeaks(scope, before)
	if _, err := os.Stat(filepath.Join(h.dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made its data directory: %v", err)
	}
}

// certify makes a certificate authority and a certificate for localhost, and
// returns the files: the authority's, the server's, the server's key.
func (h *host) certify() (ca, cert, key string) {
	h.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	caText, err := x509.CreateCertificate(rand.Reader, authority, authority, signer.Public(), signer)
	h.must(err)
	text, err := x509.CreateCertificate(rand.Reader, server, authority, private.Public(), signer)
	h.must(err)
	keyText, err := x509.MarshalPKCS8PrivateKey(private)
	h.must(err)
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(h.dir, name)
		h.must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	return write("ca.pem", "CERTIFICATE", caText), write("cert.pem", "CERTIFICATE", text), write("key.pem", "PRIVATE KEY", keyText)
}

// TestTLSOfAPrivateAuthority: every client talks TLS once it is told whom to
// trust, and none does before.
func TestTLSOfAPrivateAuthority(t *testing.T) {
	h := newHost(t)
	ca, cert, key := h.certify()
	h.start("--ec2-listen", loopback, "--ec2-tls-cert", cert, "--ec2-tls-key", key)
	env := h.env(account)
	env["AWS_MAX_ATTEMPTS"] = "1" // what does not trust now will not do so later
	if !strings.HasPrefix(env["AWS_ENDPOINT_URL"], "https://") {
		t.Fatalf("the endpoint is %s", env["AWS_ENDPOINT_URL"])
	}
	for _, name := range toolNames {
		t.Run(name, func(t *testing.T) {
			mine := *h
			mine.T = t
			if _, err := mine.tool(name, env).identity(); err == nil || !strings.Contains(err.Error(), "SSL") {
				t.Errorf("without the authority: %v, want an SSL error", err)
			}
			trusting := environment{"AWS_CA_BUNDLE": ca}
			for k, v := range env {
				trusting[k] = v
			}
			if got, err := mine.tool(name, trusting).identity(); err != nil || got != account {
				t.Errorf("with the authority: %q, %v", got, err)
			}
		})
	}
}
