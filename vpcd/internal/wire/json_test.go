package wire

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/client"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
)

const goodBody = `{"CidrBlock":"10.0.0.0/16"}`

func TestClient(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": echo}, nil)
	c := client.New(r.socket)
	defer c.Close()
	req := &api.CreateVpcRequest{CidrBlock: "10.0.0.0/16"}
	res, revision, err := client.Call[api.CreateVpcRequest, api.CreateVpcResult](t.Context(), c, "CreateVpc", req)
	if err != nil || revision != 7 || res.Vpc.OwnerId != "000000000001" || res.Vpc.CidrBlock != "10.0.0.0/16" {
		t.Fatalf("%+v, revision %d, error %v", res, revision, err)
	}
	res, _, err = client.Call[api.CreateVpcRequest, api.CreateVpcResult](t.Context(), c.WithAccount("000000000002"), "CreateVpc", req)
	if err != nil || res.Vpc.OwnerId != "000000000002" {
		t.Errorf("for an account: %+v, error %v", res, err)
	}
}

func TestErrorsArriveWhole(t *testing.T) {
	want := &api.Error{Code: "DependencyViolation", Message: "in <use>", Field: "VpcId", BlockedBy: []api.Blocker{{Kind: "subnet", Id: "subnet-1"}}, Hint: "vpc delete --cascade"}
	r := start(t, map[string]service.Handler{"DeleteVpc": func(context.Context, service.Caller, any) (any, int64, error) { return nil, 0, want }}, nil)
	c := client.New(r.socket)
	defer c.Close()
	_, _, err := client.Call[api.DeleteVpcRequest, api.DeleteVpcResult](t.Context(), c, "DeleteVpc", &api.DeleteVpcRequest{VpcId: "vpc-1"})
	var have *api.Error
	if !errors.As(err, &have) || have.Error() != want.Error() || have.Field != want.Field || have.Hint != want.Hint || len(have.BlockedBy) != 1 {
		t.Errorf("error %+v", err)
	}
}

func TestAnswerIsExact(t *testing.T) {
	r := start(t, map[string]service.Handler{
		"DescribeDrops": func(context.Context, service.Caller, any) (any, int64, error) {
			return &api.DescribeDropsResult{Drops: []api.Drop{{Reason: "a<b", Packets: api.Ptr(int64(math.MaxInt64)), Bytes: api.Ptr(int64(0))}}}, math.MaxInt64, nil
		},
		"DescribeVpcs": func(context.Context, service.Caller, any) (any, int64, error) {
			return new(api.DescribeVpcsResult), 0, nil
		},
		"CreateVpc": echo,
	}, nil)
	for _, c := range []struct{ action, body, want, revision string }{
		{"DescribeDrops", `{}`, `{"Drops":[{"Reason":"a<b","Packets":9223372036854775807,"Bytes":0}]}`, "9223372036854775807"},
		{"DescribeVpcs", `{}`, `{"Vpcs":[]}`, "0"},
		{"CreateVpc", goodBody, `{"Vpc":{"OwnerId":"000000000001","CidrBlock":"10.0.0.0/16","IsDefault":false}}`, "7"},
	} {
		have := r.raw(t, post(c.action, c.body))
		if have.status != 200 || !sameMembers(have.body, c.want) {
			t.Errorf("%s: %d\n have %s want %s", c.action, have.status, have.body, c.want)
		}
		if h := have.header; h.Get(api.RevisionHeader) != c.revision || h.Get("Content-Type") != "application/json" || h.Get(RequestIDHeader) == "" {
			t.Errorf("%s: header %v", c.action, h)
		}
	}
}

// sameMembers compares texts of JSON byte for byte but for the order of members.
func sameMembers(a, b string) bool {
	split := func(s string) map[string]int {
		n := map[string]int{}
		for _, p := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("{}, \n", r) }) {
			n[p]++
		}
		return n
	}
	x, y := split(a), split(b)
	for k, n := range x {
		if y[k] != n {
			return false
		}
	}
	return len(x) == len(y)
}

// TestBadRequests sends what the client never would. None reaches the handler.
func TestBadRequests(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": never(t), "DescribeVpcs": never(t)}, nil)
	edit := func(old, new string) string { return strings.Replace(post("CreateVpc", goodBody), old, new, 1) }
	chunked := func(body string) string {
		return edit("Content-Length: 27", "Transfer-Encoding: chunked")[:strings.Index(edit("Content-Length: 27", "Transfer-Encoding: chunked"), "\r\n\r\n")+4] + body
	}
	big := strings.Repeat("x", bodyMax+1)
	for name, c := range map[string]struct {
		request string
		status  int
		code    string // empty where net/http answers itself
		field   string
	}{
		"GET":               {edit("POST", "GET"), 400, "InvalidRequest", ""},
		"PUT":               {edit("POST", "PUT"), 400, "InvalidRequest", ""},
		"OPTIONS":           {edit("POST /v1/CreateVpc", "OPTIONS *"), 400, "InvalidRequest", ""},
		"no method":         {edit("POST ", ""), 400, "", ""},
		"HTTP/2":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, "UnauthorizedOperation", "Host"},
		"not HTTP":          {"\x16\x03\x01\x02\x00\r\n\r\n", 400, "", ""},
		"host":              {edit("Host: vpcd", "Host: localhost"), 403, "UnauthorizedOperation", "Host"},
		"host with port":    {edit("Host: vpcd", "Host: vpcd:80"), 403, "UnauthorizedOperation", "Host"},
		"no host":           {edit("Host: vpcd\r\n", ""), 400, "", ""},
		"no host, HTTP/1.0": {strings.Replace(edit("Host: vpcd\r\n", ""), "HTTP/1.1", "HTTP/1.0", 1), 403, "UnauthorizedOperation", "Host"},
		"two hosts":         {edit("Host: vpcd", "Host: vpcd\r\nHost: vpcd"), 400, "", ""},
		"host in the path":  {edit("POST /v1", "POST http://evil/v1"), 403, "UnauthorizedOperation", "Host"},
		"origin":            {post("CreateVpc", goodBody, "Origin: http://vpcd"), 403, "UnauthorizedOperation", "Origin"},
		"origin null":       {post("CreateVpc", goodBody, "Origin: null"), 403, "UnauthorizedOperation", "Origin"},
		"empty origin":      {post("CreateVpc", goodBody, "Origin:"), 403, "UnauthorizedOperation", "Origin"},
		"no type":           {edit("Content-Type: application/json\r\n", ""), 400, "InvalidRequest", "Content-Type"},
		"form type":         {edit("application/json", "text/plain"), 400, "InvalidRequest", "Content-Type"},
		"two types":         {post("CreateVpc", goodBody, "Content-Type: text/plain"), 400, "InvalidRequest", "Content-Type"},
		"charset":           {edit("application/json", "application/json; charset=utf-16"), 400, "InvalidRequest", "Content-Type"},
		"gzip":              {post("CreateVpc", goodBody, "Content-Encoding: gzip"), 400, "InvalidRequest", "Content-Encoding"},
		"query":             {edit("/CreateVpc", "/CreateVpc?DryRun=true"), 400, "InvalidRequest", ""},
		"empty query":       {edit("/CreateVpc", "/CreateVpc?"), 400, "InvalidRequest", ""},
		"no prefix":         {edit("/v1/", "/"), 400, "InvalidAction", ""},
		"other version":     {edit("/v1/", "/v2/"), 400, "InvalidAction", ""},
		"no action":         {edit("/CreateVpc", "/"), 400, "InvalidAction", ""},
		"unknown action":    {edit("/CreateVpc", "/MakeVpc"), 400, "InvalidAction", ""},
		"action in lower":   {edit("/CreateVpc", "/createvpc"), 400, "InvalidAction", ""},
		"escaped action":    {edit("/CreateVpc", "/Create%56pc"), 400, "InvalidAction", ""},
		"path below":        {edit("/CreateVpc", "/CreateVpc/x"), 400, "InvalidAction", ""},
		"path that climbs":  {edit("/CreateVpc", "/../v1/CreateVpc"), 400, "InvalidAction", ""},
		"not built":         {edit("/CreateVpc", "/DeleteVpc"), 400, "UnsupportedOperation", ""},
		"account":           {post("CreateVpc", goodBody, "Vpc-Account: 1"), 400, "InvalidParameterValue", "Vpc-Account"},
		"account letters":   {post("CreateVpc", goodBody, "Vpc-Account: 00000000000a"), 400, "InvalidParameterValue", "Vpc-Account"},
		"empty account":     {post("CreateVpc", goodBody, "Vpc-Account:"), 400, "InvalidParameterValue", "Vpc-Account"},
		"two accounts":      {post("CreateVpc", goodBody, "Vpc-Account: 000000000001", "Vpc-Account: 000000000001"), 400, "InvalidParameterValue", "Vpc-Account"},
		"large body":        {post("CreateVpc", big), 400, "InvalidRequest", ""},
		"large and absent":  {edit("Content-Length: 27", "Content-Length: 99999999999"), 400, "InvalidRequest", ""},
		"large chunk":       {chunked("100001\r\n" + big + "\r\n0\r\n\r\n"), 400, "InvalidRequest", ""},
		"chunk that is not": {chunked("zz\r\n{}\r\n0\r\n\r\n"), 400, "InvalidRequest", ""},
		"negative length":   {edit("Content-Length: 27", "Content-Length: -1"), 400, "", ""},
		"two lengths":       {post("CreateVpc", goodBody, "Content-Length: 2"), 400, "", ""},
		"body cut short":    {edit("Content-Length: 27", "Content-Length: 20"), 400, "MalformedQueryString", ""},
		"no body":           {post("CreateVpc", ""), 400, "MalformedQueryString", ""},
		"checked":           {post("CreateVpc", `{"InstanceTenancy":"none"}`), 400, "InvalidParameterValue", "InstanceTenancy"},
		"checked in depth":  {post("DescribeVpcs", `{"VpcIds":{}}`), 400, "InvalidParameterValue", "VpcIds"},
	} {
		t.Run(name, func(t *testing.T) {
			have := r.raw(t, c.request)
			code, field := "", ""
			if have.err != nil {
				code, field = have.err.Code, have.err.Field
			}
			if have.status != c.status && !(c.code == "" && have.status >= 400) || code != c.code || field != c.field {
				t.Errorf("%d %s %q, want %d %s %q\n%s", have.status, code, field, c.status, c.code, c.field, have.body)
			}
			if have.header.Get(api.RevisionHeader) != "" {
				t.Error("a refusal has a revision")
			}
		})
	}
	// After all this the daemon still serves.
	if have := r.raw(t, post("MakeVpc", "{}")); have.err == nil {
		t.Error("no answer at the end")
	}
}

func TestTruncatedBody(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": never(t)}, nil)
	c := r.dial(t)
	if _, err := c.Write([]byte(strings.Replace(post("CreateVpc", goodBody), "27", "28", 1))); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if have := receive(t, c); have.err == nil || have.err.Code != "InvalidRequest" {
		t.Errorf("%d %s", have.status, have.body)
	}
}

// TestRefusalEndsConnection: what follows a refused header may be its body,
// dressed as a request.
func TestRefusalEndsConnection(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": never(t)}, nil)
	c := r.dial(t)
	if _, err := io.WriteString(c, post("MakeVpc", post("CreateVpc", goodBody))); err != nil {
		t.Fatal(err)
	}
	// A reset after the answer is an end as well.
	all, _ := io.ReadAll(c)
	if n := strings.Count(string(all), "HTTP/1.1 "); n != 1 || !strings.Contains(string(all), "InvalidAction") {
		t.Errorf("%d answers:\n%s", n, all)
	}
}

func TestLargeHeader(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": never(t)}, nil)
	c := r.dial(t)
	go func() {
		_, _ = io.WriteString(c, post("CreateVpc", goodBody, "X: "+strings.Repeat("x", headerMax+8192)))
	}()
	first := make([]byte, len("HTTP/1.1 431"))
	if _, err := io.ReadFull(c, first); err != nil || string(first) != "HTTP/1.1 431" {
		t.Errorf("%q, %v", first, err)
	}
}

func TestCharsetIsAllowed(t *testing.T) {
	r := start(t, map[string]service.Handler{"CreateVpc": echo}, nil)
	text := strings.Replace(post("CreateVpc", goodBody), "application/json", "Application/JSON; charset=UTF-8", 1)
	if have := r.raw(t, text); have.status != 200 {
		t.Errorf("%d %s", have.status, have.body)
	}
}
