// SPDX-License-Identifier: Apache-2.0
#ifndef PEERS_ERROR_H
#define PEERS_ERROR_H

/* Keeps a sentence for peer_error(), and returns -1. */
int peer_failed(const char *what, const char *why);

/* A function of a library that is loaded at run time; NULL, with a sentence, if it is not there. */
void *peer_symbol(void *library, const char *name);

#endif
