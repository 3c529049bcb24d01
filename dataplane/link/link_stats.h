// LinkStats: what a link counts. Written by its worker, read by metrics.
#pragma once

#include "dataplane/base/counter.h"
#include "dataplane/base/drop.h"
#include "dataplane/base/line.h"
#include "dataplane/base/shared_word.h"

namespace penstock {

struct alignas(kPair) LinkStats {
  Counter rx_frames, rx_bytes, tx_frames, tx_bytes;
  Counter acks_in, acks_out;
  Counter sessions;       // that began
  Counter reconnects;     // connections that a session went on with
  Counter lost;           // packets given up by the thresholds
  Counter probes;         // packets given up by a probe timeout
  Counter spurious;       // of these, such as arrived after all
  Counter retransmitted;  // packets that carried something once more
  Counter duplicates;     // packets that came twice
  Counter credit_probes;  // PINGs because a mirror was full
  Counter stalls;         // times this side was not run for long, and blamed itself
  SharedWord srtt_ns, min_rtt_ns;
  SharedWord in_flight;  // packets
  SharedWord window;     // packets that may be
  SharedWord frame;      // bytes of the largest that the path carries
  SharedWord connected;  // 1 while there is a connection
  Counter narrowed;      // times that it carried only smaller ones than before
  Counter marked;        // packets in that the network had marked
  Counter rerouted;      // times that a source port was changed: all that went by it vanished
  DropCounters drops;    // frames
};

}  // namespace penstock
