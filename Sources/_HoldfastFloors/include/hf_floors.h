#ifndef HF_FLOORS_H
#define HF_FLOORS_H
#endif
