// SPDX-License-Identifier: Apache-2.0
//
// The features of this platform, decided when the C module is compiled and seen by Swift as constants.
#ifndef HF_PROBE_H
#define HF_PROBE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

/* POSIX.1-2008 has O_DIRECTORY; a platform without it, or a build with -DHF_NO_O_DIRECTORY, opens a directory
   without the flag and checks by fstat that it got one (see hf_open_directory). */
#if defined(O_DIRECTORY) && !defined(HF_NO_O_DIRECTORY)
#define HF_HAS_O_DIRECTORY 1
static const int hf_o_directory = O_DIRECTORY;
#else
#define HF_HAS_O_DIRECTORY 0
static const int hf_o_directory = 0;
#endif

/* State files are larger than 2 GiB on some 32-bit builds only if off_t is 64 bits wide. */
_Static_assert(sizeof(off_t) == 8, "off_t must be 64 bits wide");
_Static_assert(sizeof(pid_t) == 4, "a PID is a 32-bit number in every record");

/* errno is a macro over a function call, which Swift cannot import by itself. */
static inline int hf_errno(void) { return errno; }

#endif
