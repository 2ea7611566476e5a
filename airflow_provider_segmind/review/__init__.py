"""One review of many pictures: what is reviewed, the verdicts, and the manifests that follow from them."""
