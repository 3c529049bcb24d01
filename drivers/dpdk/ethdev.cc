#include "drivers/dpdk/ethdev.h"

#include <algorithm>
#include <cstring>

#include <rte_errno.h>
#include <rte_ethdev.h>

#include "drivers/dpdk/buffers.h"
#include "drivers/dpdk/dpdk_log.h"

namespace penstock {
namespace {

// These report a largest frame of 1518 bytes and carry larger ones all the same.
bool hides_its_mtu(PortKind kind) {
  return kind == PortKind::kMemifServer || kind == PortKind::kMemifClient ||
         kind == PortKind::kAfPacket;
}

std::string failed(const char* what, int rc) {
  return std::string(what) + ": " + strerror(rc < 0 ? -rc : rc) + last_dpdk_words();
}

rte_eth_conf make_conf(const PortSpec& spec, const rte_eth_dev_info& info) {
  rte_eth_conf conf{};
  if (!hides_its_mtu(spec.kind) && spec.kind != PortKind::kTap) conf.rxmode.mtu = spec.mtu;
  conf.rxmode.offloads =
      info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
  conf.txmode.offloads =
      info.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
                              RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  // Of a NIC the link is asked for (refresh()): with the interrupt DPDK answers what that said
  // last, and not every NIC's comes through (e1000 by vfio-pci: for it the link stayed down).
  conf.intr_conf.lsc = spec.kind != PortKind::kPci && (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
  const uint64_t hashes = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
  if (spec.queues > 1 && hashes != 0) {  // the source port tells paths apart
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = hashes;
  }
  return conf;
}

Abilities got(const PortSpec& spec, const rte_eth_conf& conf) {
  Abilities out;
  out.chains = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) != 0;
  out.tx_udp_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
  out.tx_ip_checksum = (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
  out.rx_checksum = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM) != 0;
  if (spec.kind == PortKind::kPci) return out;
  // A virtual device does at least what its kind promises; more is not asked of it.
  const Abilities want = abilities(spec.kind);
  if (spec.kind == PortKind::kRing) return want;
  return {.chains = want.chains && out.chains,
          .tx_udp_checksum = want.tx_udp_checksum && out.tx_udp_checksum,
          .tx_ip_checksum = want.tx_ip_checksum && out.tx_ip_checksum,
          .rx_checksum = want.rx_checksum && out.rx_checksum};
}

}  // namespace

Abilities abilities(PortKind kind) {
  switch (kind) {
    case PortKind::kRing:  // the bytes stay where they are: nothing to sum up
    case PortKind::kVhost:
      return {.chains = true, .tx_udp_checksum = true, .rx_checksum = true};
    case PortKind::kVirtioUser:
      // The peer sees DPDK's memory only, so a payload of a lane must be copied into it.
      return {.chains = false, .tx_udp_checksum = true, .rx_checksum = true};
    case PortKind::kMemifServer:
    case PortKind::kMemifClient:
    case PortKind::kAfPacket:
    case PortKind::kTap:
      return {.chains = true};
    case PortKind::kAfXdp:
    case PortKind::kPci:
      return {};
  }
  return {};
}

OrSentence<Abilities> configure(uint16_t port, const PortSpec& spec, const Pools& pools) {
  rte_eth_dev_info info{};
  if (const int rc = rte_eth_dev_info_get(port, &info); rc != 0) {
    return sentence(failed("it does not say what it can do", rc));
  }
  const auto queues = std::min(info.max_rx_queues, info.max_tx_queues);
  if (spec.queues > queues) {
    return sentence("it has " + std::to_string(queues) + " queues, not " +
                    std::to_string(spec.queues));
  }
  if (!hides_its_mtu(spec.kind) && info.max_mtu != 0 && spec.mtu > info.max_mtu) {
    return sentence("its largest mtu is " + std::to_string(info.max_mtu) + ", not " +
                    std::to_string(spec.mtu));
  }
  const rte_eth_conf conf = make_conf(spec, info);
  const Abilities abilities_got = got(spec, conf);
  if (spec.kind != PortKind::kPci && abilities_got != abilities(spec.kind)) {
    return sentence("its peer does not take part in checksum offload, which every known one does");
  }
  if (const int rc = rte_eth_dev_configure(port, spec.queues, spec.queues, &conf); rc != 0) {
    return sentence(failed("it refuses its configuration", rc));
  }
  uint16_t rx = descriptors(spec.kind), tx = rx;
  rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
  const auto node = static_cast<unsigned>(std::max(0, rte_eth_dev_socket_id(port)));
  rte_eth_rxconf rxconf = info.default_rxconf;
  rxconf.offloads = conf.rxmode.offloads;
  rte_eth_txconf txconf = info.default_txconf;
  txconf.offloads = conf.txmode.offloads;
  for (uint16_t q = 0; q < spec.queues; q++) {
    if (const int rc = rte_eth_rx_queue_setup(port, q, rx, node, &rxconf, pools.rx); rc != 0) {
      return sentence(failed("no receive queue", rc));
    }
    if (const int rc = rte_eth_tx_queue_setup(port, q, tx, node, &txconf); rc != 0) {
      return sentence(failed("no transmit queue", rc));
    }
  }
  if (spec.kind == PortKind::kTap) {
    if (const int rc = rte_eth_dev_set_mtu(port, static_cast<uint16_t>(spec.mtu)); rc != 0) {
      return sentence(failed("it refuses its mtu", rc));
    }
  }
  return abilities_got;
}

}  // namespace penstock
