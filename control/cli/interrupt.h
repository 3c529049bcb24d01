// ^C and SIGTERM end a command in order: it closes what it opened and says what it has.
#pragma once

namespace penstock::cli {

// From now on these signals set the flag instead of ending the process, and a closed pipe is an
// error of the write. A read that waits returns with EINTR.
void catch_interrupts();
bool interrupted();

}  // namespace penstock::cli
