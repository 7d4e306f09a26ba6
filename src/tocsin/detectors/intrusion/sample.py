"""The flows that the detector reads: one class per publisher, and one of what they share.

Every field must be given and may be null: a client that forgets a column is told so, and a value that is
not known is a value of its own. What each publisher calls a column is the name of its field, or its title.
"""

from typing import Annotated

from pydantic import Field

from tocsin.core.types import Sample

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
Share = Annotated[float, Field(ge=0, le=1)] | None
Text = Annotated[str, Field(max_length=64)] | None


class Flow(Sample):
    """What sensors of any make can say of a flow."""

    duration_seconds: Number = Field(description="time from the first to the last packet, seconds")
    forward_packets: Number = Field(description="packets from the side that opened the flow")
    backward_packets: Number = Field(description="packets from the other side")
    forward_bytes: Number = Field(description="payload bytes forward: no link, IP or transport headers")
    backward_bytes: Number = Field(description="payload bytes backward")
    forward_mean_size: Number = Field(description="payload bytes per forward packet; null without packets")
    backward_mean_size: Number = Field(description="payload bytes per backward packet; null without packets")
    packets_per_second: Number = Field(
        description="packets of both sides per second; null if the flow took no time"
    )
    bytes_per_second: Number = Field(
        description="payload bytes of both sides per second; null if the flow took no time"
    )
    forward_interarrival_ms: Number = Field(
        description="mean time between forward packets, milliseconds; null below two packets"
    )
    backward_interarrival_ms: Number = Field(
        description="mean time between backward packets, milliseconds; null below two packets"
    )
    service: Text = Field(description="service, such as dns, http, tls or other; null if unknown")


class UnswFlow(Sample):
    """A row of UNSW-NB15. Source: Moustafa & Slay 2015, tables II to VII."""

    dur: Number = Field(description="duration of the flow, seconds")
    proto: Text = Field(description="protocol, such as tcp, udp or arp")
    service: Text = Field(description="service, such as dns or http; `-` if it is a rare one")
    state: Text = Field(description="state of the protocol, such as FIN, CON or INT")
    spkts: Number = Field(description="packets from source to destination")
    dpkts: Number = Field(description="packets from destination to source")
    sbytes: Number = Field(description="bytes from source to destination, IP headers included")
    dbytes: Number = Field(description="bytes from destination to source, IP headers included")
    rate: Number = Field(description="packets but the first, per second")
    sttl: Number = Field(description="time to live of the source's packets")
    dttl: Number = Field(description="time to live of the destination's packets")
    sload: Number = Field(description="bits per second from source to destination")
    dload: Number = Field(description="bits per second from destination to source")
    sloss: Number = Field(description="source packets lost or sent again")
    dloss: Number = Field(description="destination packets lost or sent again")
    sinpkt: Number = Field(description="mean time between source packets, milliseconds")
    dinpkt: Number = Field(description="mean time between destination packets, milliseconds")
    sjit: Number = Field(description="jitter of the source, milliseconds")
    djit: Number = Field(description="jitter of the destination, milliseconds")
    swin: Number = Field(description="TCP window that the source advertises")
    stcpb: Number = Field(description="first TCP sequence number of the source")
    dtcpb: Number = Field(description="first TCP sequence number of the destination")
    dwin: Number = Field(description="TCP window that the destination advertises")
    tcprtt: Number = Field(description="time to set up the TCP connection, seconds: synack + ackdat")
    synack: Number = Field(description="time from SYN to SYN-ACK, seconds")
    ackdat: Number = Field(description="time from SYN-ACK to ACK, seconds")
    smean: Number = Field(description="mean size of the source's packets, bytes")
    dmean: Number = Field(description="mean size of the destination's packets, bytes")
    trans_depth: Number = Field(description="position in the pipeline of HTTP requests")
    response_body_len: Number = Field(description="bytes of content that the HTTP server sent")
    ct_srv_src: Number = Field(description="of 100 connections: same service and source")
    ct_state_ttl: Number = Field(description="code of the state together with ranges of the times to live")
    ct_dst_ltm: Number = Field(description="of 100 connections: same destination")
    ct_src_dport_ltm: Number = Field(description="of 100 connections: same source and destination port")
    ct_dst_sport_ltm: Number = Field(description="of 100 connections: same destination and source port")
    ct_dst_src_ltm: Number = Field(description="of 100 connections: same source and destination")
    is_ftp_login: Number = Field(
        description="1 if an ftp session was entered with a password; the published files hold a few 2"
    )
    ct_ftp_cmd: Number = Field(description="commands in the ftp session")
    ct_flw_http_mthd: Number = Field(description="HTTP methods such as GET and POST in the flow")
    ct_src_ltm: Number = Field(description="of 100 connections: same source")
    ct_srv_dst: Number = Field(description="of 100 connections: same service and destination")
    is_sm_ips_ports: Number = Field(description="1 if both ends have the same address and port")


class NslKddConnection(Sample):
    """A row of NSL-KDD. Source: Tavallaee et al. 2009, and the KDD Cup 1999 task description."""

    duration: Number = Field(description="length of the connection, whole seconds")
    protocol_type: Text = Field(description="transport: tcp, udp or icmp")
    service: Text = Field(description="service at the destination, such as http or ftp_data")
    flag: Text = Field(description="how the connection ended, such as SF (normal) or S0 (no answer)")
    src_bytes: Number = Field(description="bytes from source to destination")
    dst_bytes: Number = Field(description="bytes from destination to source")
    land: Number = Field(description="1 if both ends have the same address and port")
    wrong_fragment: Number = Field(description="wrong fragments")
    urgent: Number = Field(description="packets with the urgent bit")
    hot: Number = Field(description="hot indicators: system directories entered, programs made or run")
    num_failed_logins: Number = Field(description="failed logins")
    logged_in: Number = Field(description="1 if logged in")
    num_compromised: Number = Field(description="compromised conditions")
    root_shell: Number = Field(description="1 if a root shell was obtained")
    su_attempted: Number = Field(description="1 if `su root` was tried; the published files hold a few 2")
    num_root: Number = Field(description="accesses as root")
    num_file_creations: Number = Field(description="files created")
    num_shells: Number = Field(description="shell prompts")
    num_access_files: Number = Field(description="operations on access control files")
    num_outbound_cmds: Number = Field(
        description="outbound commands in an ftp session; 0 in all published rows"
    )
    is_host_login: Number = Field(description="1 if the login belongs to the host list (root or admin)")
    is_guest_login: Number = Field(description="1 if the login is a guest's")
    count: Number = Field(description="connections to the same host in the past two seconds")
    srv_count: Number = Field(description="connections to the same service in the past two seconds")
    serror_rate: Share = Field(description="of `count`: share with SYN errors")
    srv_serror_rate: Share = Field(description="of `srv_count`: share with SYN errors")
    rerror_rate: Share = Field(description="of `count`: share with REJ errors")
    srv_rerror_rate: Share = Field(description="of `srv_count`: share with REJ errors")
    same_srv_rate: Share = Field(description="of `count`: share to the same service")
    diff_srv_rate: Share = Field(description="of `count`: share to other services")
    srv_diff_host_rate: Share = Field(description="of `srv_count`: share to other hosts")
    dst_host_count: Number = Field(description="of the past 100 connections: those to the same host")
    dst_host_srv_count: Number = Field(
        description="of the past 100 connections: those to the same host and service"
    )
    dst_host_same_srv_rate: Share = Field(description="of `dst_host_count`: share to the same service")
    dst_host_diff_srv_rate: Share = Field(description="of `dst_host_count`: share to other services")
    dst_host_same_src_port_rate: Share = Field(
        description="of `dst_host_srv_count`: share from the same source port"
    )
    dst_host_srv_diff_host_rate: Share = Field(description="of `dst_host_srv_count`: share from other hosts")
    dst_host_serror_rate: Share = Field(description="of `dst_host_count`: share with SYN errors")
    dst_host_srv_serror_rate: Share = Field(description="of `dst_host_srv_count`: share with SYN errors")
    dst_host_rerror_rate: Share = Field(description="of `dst_host_count`: share with REJ errors")
    dst_host_srv_rerror_rate: Share = Field(description="of `dst_host_srv_count`: share with REJ errors")
