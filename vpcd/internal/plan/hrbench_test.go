package plan
import ("testing";"time";"fmt";"github.com/vpcfabric/vpc/vpcd/api";"github.com/vpcfabric/vpc/vpcd/internal/record";"github.com/vpcfabric/vpc/dataplane/spec")
func TestHRPlan(t *testing.T){
 w:=&record.World{Vpcs:map[string]*record.Vpc{},Subnets:map[string]*record.Subnet{},Interfaces:map[string]*record.NetworkInterface{},Groups:map[string]*record.SecurityGroup{},Tables:map[string]*record.RouteTable{},Tombstones:map[string]*record.Tombstone{}}
 f:=Facts{Host:"h",MTU:1500,Places:map[string]Place{}}
 n:=0
 for v:=range 500 {
  vid:=fmt.Sprintf("vpc-%017x",v)
  w.Vpcs[vid]=&record.Vpc{Index:uint32(v+1)}; w.Vpcs[vid].Vpc.VpcId=vid
  tid:=fmt.Sprintf("rtb-%017x",v)
  tb:=&record.RouteTable{Index:uint32(v+1)}; tb.Table.VpcId=vid; tb.Table.RouteTableId=tid
  tb.Table.Routes=append(tb.Table.Routes,api.Route{DestinationCidrBlock:"10.0.0.0/16",GatewayId:"local"})
  tb.Table.Associations=append(tb.Table.Associations,api.RouteTableAssociation{Main:api.Ptr(true)})
  w.Tables[tid]=tb
  gid:=fmt.Sprintf("sg-%017x",v)
  g:=&record.SecurityGroup{Index:uint32(v+1)}; g.Group.VpcId=vid; g.Group.GroupId=gid
  for i:=range 20 { g.Rules=append(g.Rules,api.SecurityGroupRule{SecurityGroupRuleId:fmt.Sprintf("sgr-%017x",v*20+i),IpProtocol:"tcp",FromPort:api.Ptr(int32(i)),ToPort:api.Ptr(int32(i)),CidrIpv4:"0.0.0.0/0",IsEgress:api.Ptr(false)})}
  w.Groups[gid]=g
  for s:=range 2 {
   sid:=fmt.Sprintf("subnet-%017x",v*2+s)
   sn:=&record.Subnet{Index:uint32(v*2+s+1)}; sn.Subnet.SubnetId=sid; sn.Subnet.VpcId=vid; sn.Subnet.CidrBlock=fmt.Sprintf("10.0.%d.0/24",s)
   w.Subnets[sid]=sn
   for k:=range 10 {
    n++
    eid:=fmt.Sprintf("eni-%017x",n)
    e:=&record.NetworkInterface{Index:uint32(n)}
    e.Interface.NetworkInterfaceId=eid; e.Interface.VpcId=vid; e.Interface.SubnetId=sid; e.Interface.PrivateIpAddress=fmt.Sprintf("10.0.%d.%d",s,k+10)
    e.Interface.Groups=[]api.GroupIdentifier{{GroupId:gid}}
    tg:=fmt.Sprintf("netns:x%d",n)
    e.Attached=&record.Attachment{Host:"h",Target:tg,IfName:"eth0"}
    f.Places[tg]=Place{Netns:spec.Netns{Path:"/x",Inode:uint64(n)}}
    w.Interfaces[eid]=e
   }
  }
 }
 s:=time.Now(); p:=Build(w,f); t.Log("build",time.Since(s),len(p.Spec.Ports),len(p.Problems))
 if len(p.Problems)>0 {t.Log(p.Problems[0])}
}
