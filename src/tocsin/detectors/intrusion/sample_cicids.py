"""A flow as CICFlowMeter publishes it; a field's title is the publisher's name for the column."""

from pydantic import Field

from tocsin.core.types import Sample
from tocsin.detectors.intrusion.sample import Number, Text


class CicidsFlow(Sample):
    """A row of CICIDS2017 as CICFlowMeter writes it. Source: Sharafaldin et al. 2018.

    `Fwd Header Length` is published twice and is here once.
    """

    destination_port: Text = Field(
        title="Destination Port",
        description="port at the destination as text: it names a service, its size means nothing",
    )
    flow_duration: Number = Field(title="Flow Duration", description="duration of the flow, microseconds")
    total_fwd_packets: Number = Field(title="Total Fwd Packets", description="packets forward")
    total_backward_packets: Number = Field(title="Total Backward Packets", description="packets backward")
    total_length_of_fwd_packets: Number = Field(
        title="Total Length of Fwd Packets", description="payload bytes forward"
    )
    total_length_of_bwd_packets: Number = Field(
        title="Total Length of Bwd Packets", description="payload bytes backward"
    )
    fwd_packet_length_max: Number = Field(
        title="Fwd Packet Length Max", description="largest payload of a forward packet, bytes"
    )
    fwd_packet_length_min: Number = Field(
        title="Fwd Packet Length Min", description="smallest payload of a forward packet, bytes"
    )
    fwd_packet_length_mean: Number = Field(
        title="Fwd Packet Length Mean", description="mean payload of the forward packets, bytes"
    )
    fwd_packet_length_std: Number = Field(
        title="Fwd Packet Length Std", description="deviation of the forward payloads, bytes"
    )
    bwd_packet_length_max: Number = Field(
        title="Bwd Packet Length Max", description="largest payload of a backward packet, bytes"
    )
    bwd_packet_length_min: Number = Field(
        title="Bwd Packet Length Min", description="smallest payload of a backward packet, bytes"
    )
    bwd_packet_length_mean: Number = Field(
        title="Bwd Packet Length Mean", description="mean payload of the backward packets, bytes"
    )
    bwd_packet_length_std: Number = Field(
        title="Bwd Packet Length Std", description="deviation of the backward payloads, bytes"
    )
    flow_bytes_per_s: Number = Field(title="Flow Bytes/s", description="payload bytes per second")
    flow_packets_per_s: Number = Field(title="Flow Packets/s", description="packets per second")
    flow_iat_mean: Number = Field(
        title="Flow IAT Mean", description="mean time between packets, microseconds"
    )
    flow_iat_std: Number = Field(
        title="Flow IAT Std", description="deviation of the time between packets, microseconds"
    )
    flow_iat_max: Number = Field(
        title="Flow IAT Max", description="longest time between packets, microseconds"
    )
    flow_iat_min: Number = Field(
        title="Flow IAT Min", description="shortest time between packets, microseconds"
    )
    fwd_iat_total: Number = Field(
        title="Fwd IAT Total", description="time from the first to the last forward packet, microseconds"
    )
    fwd_iat_mean: Number = Field(
        title="Fwd IAT Mean", description="mean time between forward packets, microseconds"
    )
    fwd_iat_std: Number = Field(
        title="Fwd IAT Std", description="deviation of the time between forward packets, microseconds"
    )
    fwd_iat_max: Number = Field(
        title="Fwd IAT Max", description="longest time between forward packets, microseconds"
    )
    fwd_iat_min: Number = Field(
        title="Fwd IAT Min", description="shortest time between forward packets, microseconds"
    )
    bwd_iat_total: Number = Field(
        title="Bwd IAT Total", description="time from the first to the last backward packet, microseconds"
    )
    bwd_iat_mean: Number = Field(
        title="Bwd IAT Mean", description="mean time between backward packets, microseconds"
    )
    bwd_iat_std: Number = Field(
        title="Bwd IAT Std", description="deviation of the time between backward packets, microseconds"
    )
    bwd_iat_max: Number = Field(
        title="Bwd IAT Max", description="longest time between backward packets, microseconds"
    )
    bwd_iat_min: Number = Field(
        title="Bwd IAT Min", description="shortest time between backward packets, microseconds"
    )
    fwd_psh_flags: Number = Field(title="Fwd PSH Flags", description="forward packets with PSH")
    bwd_psh_flags: Number = Field(title="Bwd PSH Flags", description="backward packets with PSH")
    fwd_urg_flags: Number = Field(title="Fwd URG Flags", description="forward packets with URG")
    bwd_urg_flags: Number = Field(title="Bwd URG Flags", description="backward packets with URG")
    fwd_header_length: Number = Field(
        title="Fwd Header Length", description="bytes of the transport headers forward"
    )
    bwd_header_length: Number = Field(
        title="Bwd Header Length", description="bytes of the transport headers backward"
    )
    fwd_packets_per_s: Number = Field(title="Fwd Packets/s", description="forward packets per second")
    bwd_packets_per_s: Number = Field(title="Bwd Packets/s", description="backward packets per second")
    min_packet_length: Number = Field(title="Min Packet Length", description="smallest payload, bytes")
    max_packet_length: Number = Field(title="Max Packet Length", description="largest payload, bytes")
    packet_length_mean: Number = Field(title="Packet Length Mean", description="mean payload, bytes")
    packet_length_std: Number = Field(
        title="Packet Length Std", description="deviation of the payload, bytes"
    )
    packet_length_variance: Number = Field(
        title="Packet Length Variance", description="variance of the payload, bytes squared"
    )
    fin_flag_count: Number = Field(title="FIN Flag Count", description="packets with FIN")
    syn_flag_count: Number = Field(title="SYN Flag Count", description="packets with SYN")
    rst_flag_count: Number = Field(title="RST Flag Count", description="packets with RST")
    psh_flag_count: Number = Field(title="PSH Flag Count", description="packets with PSH")
    ack_flag_count: Number = Field(title="ACK Flag Count", description="packets with ACK")
    urg_flag_count: Number = Field(title="URG Flag Count", description="packets with URG")
    cwe_flag_count: Number = Field(title="CWE Flag Count", description="packets with CWR")
    ece_flag_count: Number = Field(title="ECE Flag Count", description="packets with ECE")
    down_up_ratio: Number = Field(
        title="Down/Up Ratio", description="backward packets per forward packet, whole"
    )
    average_packet_size: Number = Field(title="Average Packet Size", description="payload bytes per packet")
    avg_fwd_segment_size: Number = Field(
        title="Avg Fwd Segment Size", description="payload bytes per forward packet"
    )
    avg_bwd_segment_size: Number = Field(
        title="Avg Bwd Segment Size", description="payload bytes per backward packet"
    )
    fwd_avg_bytes_per_bulk: Number = Field(title="Fwd Avg Bytes/Bulk", description="bytes per forward bulk")
    fwd_avg_packets_per_bulk: Number = Field(
        title="Fwd Avg Packets/Bulk", description="packets per forward bulk"
    )
    fwd_avg_bulk_rate: Number = Field(title="Fwd Avg Bulk Rate", description="rate of the forward bulks")
    bwd_avg_bytes_per_bulk: Number = Field(title="Bwd Avg Bytes/Bulk", description="bytes per backward bulk")
    bwd_avg_packets_per_bulk: Number = Field(
        title="Bwd Avg Packets/Bulk", description="packets per backward bulk"
    )
    bwd_avg_bulk_rate: Number = Field(title="Bwd Avg Bulk Rate", description="rate of the backward bulks")
    subflow_fwd_packets: Number = Field(
        title="Subflow Fwd Packets", description="forward packets per subflow"
    )
    subflow_fwd_bytes: Number = Field(title="Subflow Fwd Bytes", description="forward bytes per subflow")
    subflow_bwd_packets: Number = Field(
        title="Subflow Bwd Packets", description="backward packets per subflow"
    )
    subflow_bwd_bytes: Number = Field(title="Subflow Bwd Bytes", description="backward bytes per subflow")
    init_win_bytes_forward: Number = Field(
        title="Init_Win_bytes_forward",
        description="first TCP window forward, bytes; null where there was none",
    )
    init_win_bytes_backward: Number = Field(
        title="Init_Win_bytes_backward",
        description="first TCP window backward, bytes; null where there was none",
    )
    act_data_pkt_fwd: Number = Field(title="act_data_pkt_fwd", description="forward packets with payload")
    min_seg_size_forward: Number = Field(
        title="min_seg_size_forward", description="smallest transport header forward, bytes"
    )
    active_mean: Number = Field(title="Active Mean", description="mean time active before idle, microseconds")
    active_std: Number = Field(title="Active Std", description="deviation of the time active, microseconds")
    active_max: Number = Field(title="Active Max", description="longest time active, microseconds")
    active_min: Number = Field(title="Active Min", description="shortest time active, microseconds")
    idle_mean: Number = Field(title="Idle Mean", description="mean time idle before active, microseconds")
    idle_std: Number = Field(title="Idle Std", description="deviation of the time idle, microseconds")
    idle_max: Number = Field(title="Idle Max", description="longest time idle, microseconds")
    idle_min: Number = Field(title="Idle Min", description="shortest time idle, microseconds")
