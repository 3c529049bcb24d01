// Closing a DPDK device whose events are served by DPDK's interrupt thread.
//
// A virtio-user device that loses its peer sets an alarm which repairs it a moment later; closed
// in between from another thread, the alarm works on freed memory (seen: SIGSEGV when both ends of
// a link end at once). So it is closed on the interrupt thread itself, when the link has stood
// still long enough for any such alarm to be over.
#pragma once

#include <cstdint>

namespace penstock {

// Stops and closes. False: it did not end within seconds (a peer that was stopped does not answer,
// and DPDK waits for it). Then the device and all that it uses must be left as they are until the
// process ends.
[[nodiscard]] bool close_port(uint16_t port);

// Whether some device was left like that. DPDK must then not be cleaned up.
bool any_port_left_open();

}  // namespace penstock
