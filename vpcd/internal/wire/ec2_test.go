package wire

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/wire/sigv4/sigv4test"
)

const (
	formType = "application/x-www-form-urlencoded; charset=utf-8"
	goodForm = "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16"
)

// ec2Request is a signed request; change happens to it before it is signed.
func ec2Request(body string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Host = recordedHost
	r.Header.Set("Content-Type", formType)
	if change != nil {
		change(r)
	}
	sigv4test.Sign(r, body, recordedKey.ID, recordedKey.Secret, "ec2", recordedTime)
	return r
}

// fault is an error as either service writes it.
type fault struct {
	XMLName   xml.Name
	Code      string `xml:"Errors>Error>Code"`
	Message   string `xml:"Errors>Error>Message"`
	RequestID string
	STSCode   string `xml:"Error>Code"`
	STSType   string `xml:"Error>Type"`
	STSID     string `xml:"RequestId"`
}

func faultOf(t *testing.T, w *httptest.ResponseRecorder) fault {
	t.Helper()
	var f fault
	if err := xml.Unmarshal(w.Body.Bytes(), &f); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return f
}

func TestEC2(t *testing.T) {
	log := new(journal)
	s := testEC2(map[string]service.Handler{"CreateVpc": echo}, log)
	w := exchange(s, ec2Request(goodForm, nil))
	for _, want := range []string{"<CreateVpcResponse", "<ownerId>000000000007</ownerId>", "<cidrBlock>10.0.0.0/16</cidrBlock>", "<isDefault>false</isDefault>"} {
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s lacks %s", w.Code, w.Body, want)
		}
	}
	if h := w.Header(); h.Get("Content-Type") != "text/xml;charset=UTF-8" || h.Get("X-Amzn-Requestid") == "" {
		t.Errorf("header %v", h)
	}
	want := `level=INFO msg=audit key=` + recordedKey.ID + ` remote=192.0.2.1:1234 account=000000000007 action=CreateVpc code=ok request=[A-Z2-7]+`
	if !regexp.MustCompile(want).MatchString(log.String()) || strings.Contains(log.String(), recordedKey.Secret) {
		t.Errorf("log %s", log)
	}
	for _, contentType := range []string{"application/x-www-form-urlencoded", "application/x-www-form-urlencoded;charset=UTF-8"} {
		if w := exchange(s, ec2Request(goodForm, func(r *http.Request) { r.Header.Set("Content-Type", contentType) })); w.Code != 200 {
			t.Errorf("%s: %d %s", contentType, w.Code, w.Body)
		}
	}
}

// TestEC2Get: the parameters may stand in the query string of a GET.
func TestEC2Get(t *testing.T) {
	s := testEC2(map[string]service.Handler{"CreateVpc": echo}, io.Discard)
	get := func() *http.Request {
		r := httptest.NewRequest("GET", "/?Action=CreateVpc&CidrBlock=10.0.0.0%2F16&Version=2016-11-15", nil)
		r.Host = recordedHost
		sigv4test.Sign(r, "", recordedKey.ID, recordedKey.Secret, "ec2", recordedTime)
		return r
	}
	if w := exchange(s, get()); w.Code != 200 || !strings.Contains(w.Body.String(), "10.0.0.0/16") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r := get()
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "10.0", "11.0", 1)
	if w := exchange(s, r); w.Code != 401 {
		t.Errorf("changed: %d %s", w.Code, w.Body)
	}
}

// TestEC2Refused: whatever is wrong has its code and status, and no handler
// hears of it. The changes of before are signed, those of after are not.
func TestEC2Refused(t *testing.T) {
	s := testEC2(map[string]service.Handler{"CreateVpc": never(t), "WaitApplied": never(t)}, io.Discard)
	for name, tt := range map[string]struct {
		body          string
		before, after func(*http.Request)
		status        int
		code          string
	}{
		"other host":      {before: func(r *http.Request) { r.Host = "evil.example:8773" }, status: 403, code: "UnauthorizedOperation"},
		"origin":          {before: func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8773") }, status: 403, code: "UnauthorizedOperation"},
		"empty origin":    {before: func(r *http.Request) { r.Header.Set("Origin", "") }, status: 403, code: "UnauthorizedOperation"},
		"path":            {before: func(r *http.Request) { r.URL.Path = "/v1/CreateVpc" }, status: 400, code: "InvalidRequest"},
		"put":             {before: func(r *http.Request) { r.Method = "PUT" }, status: 400, code: "InvalidRequest"},
		"post with query": {before: func(r *http.Request) { r.URL.RawQuery = "Action=CreateVpc" }, status: 400, code: "InvalidRequest"},
		"get with body":   {before: func(r *http.Request) { r.Method = "GET" }, status: 400, code: "InvalidRequest"},
		"json":            {before: func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, status: 400, code: "InvalidRequest"},
		"latin 1":         {before: func(r *http.Request) { r.Header.Set("Content-Type", formType[:len(formType)-5]+"latin1") }, status: 400, code: "InvalidRequest"},
		"no type":         {before: func(r *http.Request) { r.Header.Del("Content-Type") }, status: 400, code: "InvalidRequest"},
		"compressed":      {before: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, status: 400, code: "InvalidRequest"},
		"large, declared": {before: func(r *http.Request) { r.ContentLength = ec2BodyMax + 1 }, status: 400, code: "InvalidRequest"},
		"large, chunked":  {body: goodForm + strings.Repeat("x", ec2BodyMax), before: func(r *http.Request) { r.ContentLength = -1 }, status: 400, code: "InvalidRequest"},
		"unsigned":        {after: func(r *http.Request) { r.Header.Del("Authorization") }, status: 400, code: "MissingAuthenticationToken"},
		"mangled":         {after: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }, status: 400, code: "IncompleteSignature"},
		"tampered": {after: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(goodForm, "10.0", "11.0", 1)))
		}, status: 401, code: "AuthFailure"},
		"wrong secret":     {after: sign(recordedKey.ID, "wrong", "ec2", 0), status: 401, code: "AuthFailure"},
		"unknown key":      {after: sign("AKIAOTHER", recordedKey.Secret, "ec2", 0), status: 401, code: "AuthFailure"},
		"stale":            {after: sign(recordedKey.ID, recordedKey.Secret, "ec2", -16*time.Minute), status: 400, code: "RequestExpired"},
		"early":            {after: sign(recordedKey.ID, recordedKey.Secret, "ec2", 16*time.Minute), status: 400, code: "RequestExpired"},
		"another service":  {after: sign(recordedKey.ID, recordedKey.Secret, "s3", 0), status: 401, code: "AuthFailure"},
		"session":          {before: func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "t") }, status: 401, code: "AuthFailure"},
		"session in form":  {body: goodForm + "&SecurityToken=t", status: 401, code: "AuthFailure"},
		"no form":          {body: "Action=%zz", status: 400, code: "MalformedQueryString"},
		"semicolons":       {body: goodForm + ";DryRun=true", status: 400, code: "MalformedQueryString"},
		"many parameters":  {body: goodForm + strings.Repeat("&a=b", 10_000), status: 400, code: "MalformedQueryString"},
		"no action":        {body: "Version=2016-11-15", status: 400, code: "MissingParameter"},
		"action twice":     {body: goodForm + "&Action=DeleteVpc", status: 400, code: "MissingParameter"},
		"no version":       {body: "Action=CreateVpc", status: 400, code: "MissingParameter"},
		"old version":      {body: "Action=CreateVpc&Version=2013-02-01", status: 400, code: "NoSuchVersion"},
		"unknown action":   {body: "Action=RunInstances&Version=2016-11-15", status: 400, code: "InvalidAction"},
		"our own action":   {body: "Action=WaitApplied&Version=2016-11-15", status: 400, code: "InvalidAction"},
		"ours, unbuilt":    {body: "Action=DescribeFlows&Version=2016-11-15", status: 400, code: "InvalidAction"},
		"unbuilt":          {body: "Action=DescribeVpcs&Version=2016-11-15", status: 400, code: "UnsupportedOperation"},
		"parameter":        {body: goodForm + "&Nonsense=1", status: 400, code: "UnknownParameter"},
		"type":             {body: goodForm + "&DryRun=maybe", status: 400, code: "InvalidParameterValue"},
		"an enum's value":  {body: goodForm + "&InstanceTenancy=shared", status: 400, code: "InvalidParameterValue"},
		"an action of STS": {body: "Action=GetCallerIdentity&Version=2011-06-15", status: 400, code: "NoSuchVersion"},
	} {
		t.Run(name, func(t *testing.T) {
			body := tt.body
			if body == "" {
				body = goodForm
			}
			r := ec2Request(body, tt.before)
			if tt.after != nil {
				tt.after(r)
			}
			w := exchange(s, r)
			if f := faultOf(t, w); w.Code != tt.status || f.Code != tt.code || f.Message == "" || f.RequestID != w.Header().Get("X-Amzn-Requestid") || f.XMLName.Local != "Response" {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, tt.code)
			}
		})
	}
}

// TestManyParameters: half a million names are counted before a map is made.
func TestManyParameters(t *testing.T) {
	form, err := parseForm("a=b" + strings.Repeat("&", bodyMax))
	if err == nil || !strings.Contains(err.Error(), "more than 10000") {
		t.Errorf("%d names, %v", len(form), err)
	}
}

// sign signs a request once more.
func sign(id, secret, service string, off time.Duration) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		sigv4test.Sign(r, goodForm, id, secret, service, recordedTime.Add(off))
	}
}

// TestEC2Nobody: the answer does not tell a key that does not exist from a
// wrong secret; the log does.
func TestEC2Nobody(t *testing.T) {
	log := new(journal)
	s := testEC2(map[string]service.Handler{"CreateVpc": never(t)}, log)
	id := regexp.MustCompile("<RequestID>.*</RequestID>")
	var answers []string
	for _, who := range []func(*http.Request){sign(recordedKey.ID, "wrong", "ec2", 0), sign("AKIAOTHER", "wrong", "ec2", 0)} {
		r := ec2Request(goodForm, nil)
		who(r)
		s.now = func() time.Time { return recordedTime.Add(time.Duration(len(answers)) * doubtPause) }
		answers = append(answers, id.ReplaceAllString(exchange(s, r).Body.String(), ""))
	}
	if answers[0] != answers[1] {
		t.Errorf("%s\n%s", answers[0], answers[1])
	}
	for _, want := range []string{"signature does not match", "no key AKIAOTHER", "remote=192.0.2.1:1234"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
}

// brokenKeys is a store of keys that fails.
type brokenKeys struct{ err error }

func (k brokenKeys) AccessKey(context.Context, string) (service.AccessKey, error) {
	return service.AccessKey{}, k.err
}

func TestEC2KeysFail(t *testing.T) {
	log := new(journal)
	s := testEC2(map[string]service.Handler{"CreateVpc": never(t)}, log)
	s.keys = brokenKeys{errors.New("secret/path")}
	if w := exchange(s, ec2Request(goodForm, nil)); w.Code != 500 || faultOf(t, w).Code != "InternalError" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "secret/path") {
		t.Errorf("log %s", log)
	}
	s.keys = brokenKeys{api.Errorf("UnsupportedOperation", "", "no keys")}
	if w := exchange(s, ec2Request(goodForm, nil)); w.Code != 400 || faultOf(t, w).Code != "UnsupportedOperation" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestEC2Errors: a handler's error keeps its code, has the status of its code,
// and only faults that heal are 5xx, because clients repeat those.
func TestEC2Errors(t *testing.T) {
	for code, status := range map[string]int{
		"DryRunOperation": 412, "InvalidVpcID.NotFound": 400, "RequestLimitExceeded": 503, "Unavailable": 503, "InternalError": 500,
	} {
		s := testEC2(map[string]service.Handler{"CreateVpc": func(context.Context, service.Caller, any) (any, int64, error) {
			return nil, 0, api.Errorf(code, "CidrBlock", "why <&>")
		}}, io.Discard)
		w := exchange(s, ec2Request(goodForm, nil))
		if f := faultOf(t, w); w.Code != status || f.Code != code || f.Message != "why <&> (parameter CidrBlock)" {
			t.Errorf("%s: %d %s", code, w.Code, w.Body)
		}
	}
	log := new(journal)
	s := testEC2(map[string]service.Handler{"CreateVpc": func(context.Context, service.Caller, any) (any, int64, error) { panic("secret/path") }}, log)
	w := exchange(s, ec2Request(goodForm, nil))
	if w.Code != 500 || faultOf(t, w).Code != "InternalError" || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "secret/path") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, log)
	}
}

// TestSTSErrors have the form of STS, and its codes where they differ.
func TestSTSErrors(t *testing.T) {
	s := testEC2(nil, io.Discard)
	const good = "Action=GetCallerIdentity&Version=2011-06-15"
	for name, tt := range map[string]struct {
		body, secret string
		off          time.Duration
		code         string
	}{
		"wrong secret":   {good, "wrong", 0, "SignatureDoesNotMatch"},
		"stale":          {good, recordedKey.Secret, -time.Hour, "RequestExpired"},
		"another action": {"Action=AssumeRole&Version=2011-06-15", recordedKey.Secret, 0, "InvalidAction"},
		"an action here": {"Action=CreateVpc&Version=2016-11-15", recordedKey.Secret, 0, "InvalidAction"},
		"version":        {"Action=GetCallerIdentity&Version=2016-11-15", recordedKey.Secret, 0, "InvalidAction"},
		"parameter":      {good + "&RoleArn=a", recordedKey.Secret, 0, "UnknownParameter"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Host = recordedHost
			r.Header.Set("Content-Type", formType)
			sigv4test.Sign(r, tt.body, recordedKey.ID, tt.secret, "sts", recordedTime.Add(tt.off))
			w := exchange(s, r)
			if f := faultOf(t, w); w.Code != 400 || f.STSCode != tt.code || f.XMLName.Local != "ErrorResponse" || f.XMLName.Space != stsNamespace || f.STSType != "Sender" || f.STSID == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
