// How descriptors get from one process to another: Unix sockets in the abstract name space, which
// leave nothing behind when a process is killed. Only processes of the same user, and of the same
// network name space, reach each other. Control; no call blocks.
#pragma once

#include <cstdint>

#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"

namespace penstock {

enum class ShmWord : uint32_t {
  kTable = 1,    // with a descriptor: the table, to read
  kRing,         // with a descriptor: the ring, to write; number: its receives
  kSegment,      // with a descriptor: a file with registered memory; number: which
  kSegmentGone,  // number: which
};

struct ShmMessage {
  uint64_t magic = 0;
  ShmWord word{};
  uint32_t number = 0;
  uint64_t bytes = 0;     // of the file
  uint64_t writable = 0;  // 1: to be mapped for writing
};
static_assert(sizeof(ShmMessage) == 32);

// The socket of a device, and one that is connected to the socket of another. kClosed: nobody is
// there. kDenied: another user. kBusy: too many are asking.
Result<Fd> shm_listen(uint64_t device);
Result<Fd> shm_connect(uint64_t device);
// Somebody who connected. kWouldBlock: nobody did. kDenied: another user.
Result<Fd> shm_accept(int listener);

// `fd` -1: the message comes alone. kWouldBlock: later. kClosed: nobody is there any more.
Errc shm_send(int socket, const ShmMessage& message, int fd);
// kInvalid: it was no message, and the socket is good for nothing.
Errc shm_receive(int socket, ShmMessage& message, Fd& fd);
// The other process has closed its side; or it said something.
bool shm_hung_up(int socket);
bool shm_speaks(int socket);

}  // namespace penstock
