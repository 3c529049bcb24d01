// What DPDK has to say goes here instead of the terminal: the last lines, for our own error texts
// and for the daemon's log.
#pragma once

#include <string>
#include <vector>

namespace penstock {

// From now on DPDK logs here. Before it starts.
void keep_dpdk_log();

// Likewise the libraries that net_af_xdp loads, which print to the terminal by themselves. After
// DPDK has started.
void keep_xdp_log();

// The lines since the last call, oldest first; at most kKeptLines, older ones are gone. Any thread.
std::vector<std::string> take_dpdk_log();
inline constexpr size_t kKeptLines = 64;

// The same, as the end of an error text: " (DPDK: last line)", or nothing.
std::string last_dpdk_words();

}  // namespace penstock
