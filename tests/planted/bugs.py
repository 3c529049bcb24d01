"""Bugs to plant: each breaks one true rule of the link or the lane. `old` must stand exactly once in `file`."""
from typing import NamedTuple


class Bug(NamedTuple):
    name: str
    rule: str  # that it breaks
    file: str
    old: str
    new: str


BUGS = [
    Bug("packet_taken_twice", "a packet number counts once", "dataplane/link/link.cc",
        "  if (received_.has(hop.packet)) {",
        "  if (received_.has(hop.packet) && received_.largest() - hop.packet > kAckBits) {"),
    Bug("piece_counted_twice", "a piece that comes twice fills no hole (InLane)", "dataplane/link/in_lane.cc",
        "    if (blocks_.all(arena, piece.size())) return false;\n",
        "    if (blocks_.all(arena, piece.size())) {\n"
        "      w.left -= std::min(w.left, static_cast<uint32_t>(BlockMap::blocks(piece.size())));\n"
        "      return true;\n    }\n"),
    Bug("published_out_of_order", "nothing is published before all that precedes it", "dataplane/link/in_lane.cc",
        "  if (waiting_ != 0 || position != head_) return place_waiting(position, arena, span, r);",
        "  if (waiting_ != 0) return place_waiting(position, arena, span, r);"),
    Bug("window_past_the_bitmap", "no more is in flight than an ACK can name", "dataplane/link/link.h",
        "    if (n >= std::min(packets_.window(), congestion_.packets())) return false;",
        "    if (n > std::min(packets_.window(), congestion_.packets())) return false;"),
    Bug("bitmap_one_short", "256 packets below the largest are in sight", "dataplane/link/received_packets.h",
        "    if (below == 0 || below > kAckBits) return true;",
        "    if (below == 0 || below >= kAckBits) return true;"),
    Bug("old_epoch_accepted", "a frame from an earlier life of the peer is dropped", "dataplane/link/link.cc",
        "  if (hop.incarnation != static_cast<uint16_t>(peer_.epoch)) return Drop::kStaleEpoch;\n", ""),
    Bug("crc_not_checked", "a damaged frame did not come", "dataplane/link/link.cc",
        "  if (!intact(hop->type, frame, payload, part_)) return Drop::kBadChecksum;\n", ""),
    Bug("digest_not_checked", "a large message is what its sender sent first", "dataplane/link/in_lane.cc",
        "  if (wrong(w)) overrule(w);\n", ""),
    Bug("credit_as_a_delta", "a credit is absolute", "dataplane/link/out_lane.cc",
        "  consumed_ = {credit.position, credit.arena_position};",
        "  consumed_ = {std::min(next_, consumed_.position + credit.position),\n"
        "               std::min(fill_, consumed_.arena + credit.arena_position)};"),
    Bug("credit_not_checked", "what comes lies within the credit that was granted", "dataplane/link/in_lane.cc",
        "  if (position - granted_.position > ring_mask_) return Drop::kNoCredit;\n", ""),
    Bug("early_release", "the publisher reuses only what is at the peer", "dataplane/link/out_lane.cc",
        "  feed_.released(record(delivered_ - 1).source + 1);",
        "  feed_.released(record(next_ - 1).source + 1);"),
    Bug("gap_notice_lost", "what will not come is said in its place", "dataplane/link/out_lane.cc",
        "    if (is_gap(m)) [[unlikely]] {\n      if (!out.append",
        "    if (is_gap(m) && next != from) {\n      staged_at_++;\n      continue;\n    }\n"
        "    if (is_gap(m)) [[unlikely]] {\n      if (!out.append"),
    Bug("recut_rest_forgotten", "what was cut anew goes to its end", "dataplane/link/link_send.cc",
        "    if (advance(front, what)) continue;\n", "    (void)advance(front, what);\n"),
    Bug("spurious_ack_counted_twice", "a packet leaves the flight once", "dataplane/link/sent_packets.h",
        "      if (was == SentPacket::State::kInFlight) in_flight_--;", "      if (in_flight_ != 0) in_flight_--;"),
    Bug("dark_port_kept", "a source port by which all vanishes is left", "dataplane/link/spread.h",
        "    if (++p.lost < kLostInARow) return false;\n    change(p, next_packet);\n",
        "    if (++p.lost < kLostInARow) return false;\n    (void)next_packet;\n"),
    Bug("no_probe_timeout", "a lost tail is noticed by silence", "dataplane/link/link_loss.cc",
        "  if (now >= probe_at_) {\n    probe(now);", "  if (now >= probe_at_) {\n    if (probes_ != 0) probe(now);"),
    Bug("probe_waits_for_the_window", "a probe waits for no window", "dataplane/link/link.h",
        "    if (probes_owed_ != 0) [[unlikely]]\n      return true;\n", ""),
    Bug("writer_ignores_a_reader", "every reliable reader holds the writer back", "dataplane/lane/writer.cc",
        "  for (uint32_t k = 0; k < active_count_; k++) {\n    Reader& r = readers_[active_[k]];\n"
        "    if (mark_state(r.state) != ReaderState::kReliable) continue;\n    const uint64_t done",
        "  for (uint32_t k = active_count_ > 1 ? 1 : 0; k < active_count_; k++) {\n"
        "    Reader& r = readers_[active_[k]];\n"
        "    if (mark_state(r.state) != ReaderState::kReliable) continue;\n    const uint64_t done"),
    Bug("lossy_copy_unchecked", "a lossy reader looks whether its copy is whole", "dataplane/lane/reader.cc",
        "  if (header_->reserved.load() - m.arena_pos <= arena_mask_ + 1) return true;",
        "  if (header_->reserved.load() != 0) return true;"),
    Bug("stamp_not_looked_at_again", "a descriptor is copied between two looks at its stamp", "dataplane/lane/reader.h",
        "    return d.stamp.load_relaxed() == position + 1 && lies_within(arena_pos, shape);",
        "    return position + 1 != 0 && lies_within(arena_pos, shape);"),
    Bug("arena_wrap_off_by_a_block", "a message does not straddle the end of the arena", "dataplane/lane/layout.h",
        "  if (offset + len > arena_size) [[unlikely]]", "  if (offset + len > arena_size + kArenaAlign) [[unlikely]]"),
    Bug("removed_peer_forgotten", "who comes back in the same life learns what it missed",
        "control/node/node_members.cc", "  former_.push_back({id, p.epoch, std::move(p.absent), p.absent_epoch});",
        "  former_.push_back({id, p.epoch, {}, 0});"),
    Bug("cookie_of_another_port", "a cookie is good for what it was baked for", "dataplane/net/cookie.cc",
        "  std::memcpy(in.data() + 18, &port, sizeof port);\n", "  (void)port;\n"),
]
