#include "drivers/dpdk/dpdk_port.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "drivers/dpdk/device.h"

namespace penstock {
namespace {

constexpr size_t kBurst = 32;
// Where payloads are copied: what a full device refuses was copied in vain, so offer it less.
constexpr size_t kCopyBurst = 8;

rte_mbuf* mbuf(const Frame& f) {
  return static_cast<rte_mbuf*>(f.handle);
}

// Whichever core the last reference ends on.
void give_back(void*, void* region) {
  static_cast<Region*>(region)->in_flight.give_back();
}

uint64_t offloads(const Frame& f) {
  if ((f.flags & (kTxUdpChecksum | kTxIpChecksum)) == 0) return 0;
  const bool v6 = (std::to_integer<unsigned>(f.data[f.l2_len]) >> 4) == 6;
  uint64_t out = v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
  if ((f.flags & kTxUdpChecksum) != 0) out |= RTE_MBUF_F_TX_UDP_CKSUM;
  if ((f.flags & kTxIpChecksum) != 0) out |= RTE_MBUF_F_TX_IP_CKSUM;
  return out;
}

// "None" is the word of virtual devices for: the sum is not filled in, and the bytes never left
// memory. A ring hands over the sender's own mbuf, with the sender's wish still on it.
uint32_t checksum_flags(uint64_t ol_flags, bool is_ring) {
  if (is_ring) {
    const bool unsummed = (ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM;
    return unsummed ? uint32_t{kRxChecksumGood} : 0;
  }
  switch (ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
      return kRxChecksumGood;
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
      return kRxChecksumBad;
    default:
      return 0;
  }
}

}  // namespace

// False: it came in pieces that do not fit one buffer, and was dropped.
bool DpdkPort::receive(rte_mbuf* m, Frame& out) {
  out = Frame{};
  if (m->nb_segs == 2 && setup_.is_ring) {
    out.payload = rte_pktmbuf_mtod(m->next, std::byte*);
    out.payload_len = m->next->data_len;
  } else if (m->nb_segs > 1) {
    if (rte_pktmbuf_linearize(m) != 0) {
      rte_pktmbuf_free(m);
      stats_.rx_missed.add(1);
      return false;
    }
    stats_.rx_linearized.add(1);
  }
  out.data = rte_pktmbuf_mtod(m, std::byte*);
  out.len = m->data_len;
  out.room = m->data_len;
  out.flags = checksum_flags(m->ol_flags, setup_.is_ring);
  out.handle = m;
  return true;
}

size_t DpdkPort::rx_burst(std::span<Frame> out) {
  if ((state_.load() & kRunning) == 0) return 0;
  size_t filled = 0;
  uint64_t bytes = 0;
  while (filled < out.size()) {
    rte_mbuf* in[kBurst];
    const auto room = static_cast<uint16_t>(std::min(out.size() - filled, kBurst));
    const uint16_t n = rte_eth_rx_burst(setup_.port, setup_.queue, in, room);
    for (uint16_t i = 0; i < n; i++) {
      const uint32_t length = in[i]->pkt_len;
      if (!receive(in[i], out[filled])) continue;
      bytes += length;
      filled++;
    }
    if (n < room) break;
  }
  if (filled != 0) {
    stats_.rx_frames.add(filled);
    stats_.rx_bytes.add(bytes);
  }
  return filled;
}

size_t DpdkPort::tx_alloc(std::span<Frame> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    rte_mbuf* m[kBurst];
    const auto want = static_cast<unsigned>(std::min(out.size() - filled, kBurst));
    unsigned got = want;
    if (rte_pktmbuf_alloc_bulk(setup_.headers, m, want) != 0) {
      for (got = 0; got < want; got++) {
        if ((m[got] = rte_pktmbuf_alloc(setup_.headers)) == nullptr) break;
      }
    }
    for (unsigned i = 0; i < got; i++) {
      Frame& f = out[filled++];
      f = Frame{};
      f.data = rte_pktmbuf_mtod(m[i], std::byte*);
      f.room = rte_pktmbuf_tailroom(m[i]);
      f.handle = m[i];
    }
    if (got < want) {
      stats_.no_buffers.add(out.size() - filled);
      break;
    }
  }
  return filled;
}

// Lets `payload` refer to the frame's bytes of a lane, and the header go on there.
void DpdkPort::chain(rte_mbuf* header, rte_mbuf* payload, const Frame& f) {
  auto* shared = static_cast<rte_mbuf_ext_shared_info*>(rte_mbuf_to_priv(payload));
  shared->free_cb = give_back;
  shared->fcb_opaque = f.region;
  rte_mbuf_ext_refcnt_set(shared, 1);
  const auto length = static_cast<uint16_t>(f.payload_len);
  rte_pktmbuf_attach_extbuf(payload, const_cast<std::byte*>(f.payload),
                            reinterpret_cast<rte_iova_t>(f.payload), length, shared);
  payload->data_len = length;
  payload->pkt_len = length;
  header->next = payload;
  header->nb_segs = 2;
  header->pkt_len += length;
  f.region->in_flight.take();
}

// Makes the frame's mbuf ready to go, its payload behind it in the same buffer or, if there is an
// mbuf for that, by reference.
void DpdkPort::prepare(const Frame& f, rte_mbuf* payload) {
  rte_mbuf* m = mbuf(f);
  m->data_len = static_cast<uint16_t>(f.len);
  m->pkt_len = f.len;
  m->ol_flags = offloads(f);
  m->tx_offload = f.l2_len | static_cast<uint64_t>(f.l3_len) << RTE_MBUF_L2_LEN_BITS;
  if (f.payload_len == 0) return;
  if (payload != nullptr) {
    chain(m, payload, f);
    return;
  }
  assert(f.len + f.payload_len <= f.room);
  memcpy(f.data + f.len, f.payload, f.payload_len);
  m->data_len = static_cast<uint16_t>(f.len + f.payload_len);
  m->pkt_len = f.len + f.payload_len;
}

// One call of the device: prepares frames from the front of `in`, says how many it offered and how
// many the device took. Payloads of those it did not take are off their frames again.
DpdkPort::Offer DpdkPort::offer(std::span<const Frame> in) {
  rte_mbuf* out[kBurst];
  rte_mbuf* references[kBurst];
  unsigned free = 0, copies = 0;
  if (setup_.chains) {
    for (const Frame& f : in)
      free += f.payload_len != 0 && !f.region->copied;
    if (free != 0 && rte_pktmbuf_alloc_bulk(setup_.payloads, references, free) != 0) free = 0;
  }
  uint16_t n = 0;
  for (const Frame& f : in) {
    const bool refer = f.payload_len != 0 && free != 0 && !f.region->copied;
    copies += f.payload_len != 0 && !refer;
    prepare(f, refer ? references[--free] : nullptr);
    out[n++] = mbuf(f);
    if (copies == kCopyBurst) break;
  }
  if (free != 0) rte_pktmbuf_free_bulk(references, free);
  const uint16_t took = rte_eth_tx_burst(setup_.port, setup_.queue, out, n);
  for (uint16_t i = took; i < n; i++) {
    copies -= in[i].payload_len != 0 && out[i]->next == nullptr;
    if (out[i]->next != nullptr) rte_pktmbuf_free_seg(out[i]->next);
    out[i]->next = nullptr;
    out[i]->nb_segs = 1;
  }
  if (copies != 0) stats_.tx_linearized.add(copies);
  return {n, took};
}

size_t DpdkPort::tx_burst(std::span<const Frame> in) {
  size_t sent = 0;
  if ((state_.load() & kRunning) != 0) {
    while (sent < in.size()) {
      const Offer o = offer(in.subspan(sent, std::min(in.size() - sent, kBurst)));
      sent += o.taken;
      if (o.taken < o.offered) break;
    }
  }
  if (sent != 0) {
    uint64_t bytes = 0;
    for (const Frame& f : in.first(sent))
      bytes += f.len + f.payload_len;
    stats_.tx_frames.add(sent);
    stats_.tx_bytes.add(bytes);
  }
  if (sent < in.size()) stats_.tx_full.add(in.size() - sent);
  return sent;
}

void DpdkPort::release(std::span<const Frame> frames) {
  while (!frames.empty()) {
    rte_mbuf* m[kBurst];
    const size_t n = std::min(frames.size(), kBurst);
    for (size_t i = 0; i < n; i++)
      m[i] = mbuf(frames[i]);
    rte_pktmbuf_free_bulk(m, static_cast<unsigned>(n));
    frames = frames.subspan(n);
  }
}

Errc DpdkPort::map_region(const Region& region) {
  return device_.map_region(region);
}

void DpdkPort::unmap_region(const Region& region) {
  device_.unmap_region(region);
}

}  // namespace penstock
