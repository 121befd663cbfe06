package ec2query

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// answer has every kind of member that an answer may have.
type answer struct {
	Text   string     `json:"Text,omitempty" ec2:"xml=text"`
	Kept   string     `json:"Kept" ec2:"xml=kept"`
	Truth  *bool      `json:"Truth,omitempty" ec2:"xml=truth"`
	Number *int64     `json:"Number,omitempty" ec2:"xml=number"`
	Ratio  *float64   `json:"Ratio,omitempty" ec2:"xml=ratio"`
	Moment *time.Time `json:"Moment,omitempty" ec2:"xml=moment"`
	Blob   []byte     `json:"Blob,omitempty" ec2:"xml=blob"`
	Below  *answer    `json:"Below,omitempty" ec2:"xml=below"`
	List   []string   `json:"List,omitempty" ec2:"xml=listSet,item=item"`
	Named  []string   `json:"Named,omitempty" ec2:"xml=namedSet,item=groupId"`
	Flat   []string   `json:"Flat,omitempty" ec2:"xml=flat,flat"`
	Always []answer   `json:"Always" ec2:"xml=alwaysSet,item=item"`
}

func TestEncode(t *testing.T) {
	for want, in := range map[string]answer{
		"<kept/><alwaysSet/>":                                       {},
		"<text>a</text><kept>b</kept><alwaysSet/>":                  {Text: "a", Kept: "b"},
		"<kept/><truth>false</truth><number>0</number><alwaysSet/>": {Truth: api.Ptr(false), Number: api.Ptr(int64(0))},
		"<kept/><ratio>0.5</ratio><alwaysSet/>":                     {Ratio: api.Ptr(0.5)},
		"<kept/><blob>AP8=</blob><alwaysSet/>":                      {Blob: []byte{0, 255}},
		"<kept/><moment>2026-11-22T09:00:00.000Z</moment><alwaysSet/>": {
			Moment: api.Ptr(time.Date(2026, 11, 22, 10, 0, 0, 999, time.FixedZone("", 3600)))},
		// Below the answer itself an empty list is an empty element.
		"<kept/><below><kept/><listSet/><namedSet/><alwaysSet/></below><alwaysSet/>":                 {Below: &answer{List: []string{}}},
		"<kept/><alwaysSet><item><kept/><listSet/><namedSet/><alwaysSet/></item></alwaysSet>":        {Always: []answer{{}}},
		"<kept/><below><kept/><listSet><item/></listSet><namedSet/><alwaysSet/></below><alwaysSet/>": {Below: &answer{List: []string{""}}},
		"<kept/><listSet><item>a</item><item/></listSet><alwaysSet/>":                                {List: []string{"a", ""}},
		"<kept/><namedSet><groupId>g</groupId></namedSet><alwaysSet/>":                               {Named: []string{"g"}},
		"<kept/><flat>a</flat><flat>b</flat><alwaysSet/>":                                            {Flat: []string{"a", "b"}},
		"<text>&lt;a&gt; &amp; &#34;b&#34;&#xA;</text><kept>]]&gt;</kept><alwaysSet/>":               {Text: "<a> & \"b\"\n", Kept: "]]>"},
		"<text>a\ufffdb\ufffd\ufffd</text><kept/><alwaysSet/>":                                       {Text: "a\x00b\x1b\xff"},
	} {
		have, err := EncodeResult("DoIt", "r-1", &in)
		whole := xml.Header + `<DoItResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>` + want + "</DoItResponse>"
		if err != nil || string(have) != whole {
			t.Errorf("have %s (%v)\nwant %s", have, err, whole)
		}
	}
}

func TestEncodeNothing(t *testing.T) {
	have, err := EncodeResult("DeleteVpc", "r-1", &api.DeleteVpcResult{})
	if err != nil || !strings.HasSuffix(string(have), "<requestId>r-1</requestId><return>true</return></DeleteVpcResponse>") {
		t.Errorf("%s, %v", have, err)
	}
	for _, bad := range []any{nil, api.DeleteVpcResult{}, (*api.DeleteVpcResult)(nil)} {
		if have, err := EncodeResult("DeleteVpc", "r-1", bad); err == nil {
			t.Errorf("%#v: %s", bad, have)
		}
	}
	if _, err := EncodeResult("DeleteVpc", "r-1", &struct{ C chan int }{make(chan int)}); err == nil {
		t.Error("a channel was encoded")
	}
}

func TestEncodeError(t *testing.T) {
	have := string(EncodeError("InvalidVpcID.NotFound", "no <vpc> & co\x07", "r-1"))
	want := xml.Header + "<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>no &lt;vpc&gt; &amp; co\ufffd</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
	if have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
}

// TestWellFormed: no text ends its element or becomes another.
func TestWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune()).Draw(t, "text")
		for _, b := range [][]byte{
			EncodeError("X", text, "r"),
			must(EncodeResult("CreateVpc", "r", &api.CreateVpcResult{Vpc: &api.Vpc{VpcId: text, Tags: []api.Tag{{Key: text}}}})),
		} {
			read := ""
			for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
				token, err := d.Token()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%q: %v in %s", text, err, b)
				}
				if c, ok := token.(xml.CharData); ok {
					read += string(c)
				}
			}
			if clean := strings.Map(inXML, text); !strings.Contains(read, clean) {
				t.Fatalf("%q became %q", text, read)
			}
		}
	})
}

// inXML is what XML 1.0 says about characters, section 2.2.
func inXML(r rune) rune {
	if r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 {
		return r
	}
	return '\ufffd'
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}
