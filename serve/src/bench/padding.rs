//! What fills an event up to the size that was measured for its name: members
//! for `requestParameters` and `responseElements`, in the form that such
//! requests have. The content is made up; the ids in it come from a limited
//! number per account, as real ones do.

use super::population::{Account, THINGS};
use super::prng::{HEX, Prng};

/// A `"key":value` with holes for hexadecimal ids.
#[derive(Clone, Debug)]
struct Member {
    text: &'static str,
    /// `(from, length)` of each run of `~`.
    holes: Vec<(usize, usize)>,
}

/// The vocabularies.
#[derive(Clone, Debug)]
pub(crate) struct Padding {
    general: Vec<Member>,
    storage: Vec<Member>,
    identity: Vec<Member>,
    encryption: Vec<Member>,
}

const GENERAL: &[&str] = &[
    r#""filterSet":{"items":[{"name":"vpc-id","valueSet":{"items":[{"value":"vpc-0~~~~~~~~~~~~~~~~"}]}}]}"#,
    r#""maxResults":100"#,
    r#""dryRun":false"#,
    r#""clientToken":"~~~~~~~~-~~~~-4~~~-a~~~-~~~~~~~~~~~~""#,
    r#""subnetId":"subnet-0~~~~~~~~~~~~~~~~""#,
    r#""groupSet":{"items":[{"groupId":"sg-0~~~~~~~~~~~~~~~~"},{"groupId":"sg-0~~~~~~~~~~~~~~~~"}]}"#,
    r#""tagSpecificationSet":{"items":[{"resourceType":"instance","tags":[{"key":"Environment","value":"production"},{"key":"CostCenter","value":"4711"},{"key":"ManagedBy","value":"terraform"}]}]}"#,
    r#""monitoring":{"enabled":false}"#,
    r#""networkInterfaceId":"eni-0~~~~~~~~~~~~~~~~""#,
    r#""iamInstanceProfile":{"name":"workload-runtime-profile"}"#,
    r#""encryptionConfiguration":{"type":"aws:kms","keyAlias":"alias/workload-default"}"#,
    r#""ownersSet":{"items":[{"owner":"self"}]}"#,
    r#""launchTemplate":{"launchTemplateId":"lt-0~~~~~~~~~~~~~~~~","version":"$Latest"}"#,
    r#""includeAllInstances":false"#,
    r#""description":"Managed by the platform team; read the runbook before changing it""#,
    r#""blockDeviceMapping":{"items":[{"deviceName":"/dev/xvda","ebs":{"volumeSize":40,"volumeType":"gp3","encrypted":true,"deleteOnTermination":true}}]}"#,
    r#""sourceDestCheck":true"#,
    r#""volumeSet":{"items":[{"volumeId":"vol-0~~~~~~~~~~~~~~~~"},{"volumeId":"vol-0~~~~~~~~~~~~~~~~"}]}"#,
    r#""metadataOptions":{"httpTokens":"required","httpPutResponseHopLimit":1,"instanceMetadataTags":"disabled"}"#,
    r#""placement":{"tenancy":"default"}"#,
];

const STORAGE: &[&str] = &[
    r#""x-amz-acl":"bucket-owner-full-control""#,
    r#""x-amz-server-side-encryption":"aws:kms""#,
    r#""x-amz-storage-class":"STANDARD""#,
    r#""x-amz-server-side-encryption-aws-kms-key-id":"~~~~~~~~-~~~~-4~~~-a~~~-~~~~~~~~~~~~""#,
    r#""x-amz-checksum-algorithm":"SHA256""#,
    r#""x-id":"object""#,
    r#""Content-Type":"application/json""#,
    r#""x-amz-object-ownership":"BucketOwnerEnforced""#,
    r#""x-amz-tagging":"team=platform&stage=production&retention=7y""#,
    r#""x-amz-meta-pipeline":"delivery-~~~~~~~~""#,
    r#""x-amz-request-payer":"requester""#,
    r#""accelerate":"""#,
    r#""x-amz-trace-id":"Root=1-~~~~~~~~-~~~~~~~~~~~~~~~~~~~~~~~~""#,
    r#""x-amz-object-lock-mode":"GOVERNANCE""#,
    r#""x-amz-metadata-directive":"REPLACE""#,
];

const IDENTITY: &[&str] = &[
    r#""path":"/platform/""#,
    r#""maxSessionDuration":3600"#,
    r#""description":"Managed by the platform team; read the runbook before changing it""#,
    r#""maxItems":100"#,
    r#""tags":[{"key":"Environment","value":"production"},{"key":"CostCenter","value":"4711"}]"#,
    r#""policyArn":"arn:aws:iam::aws:policy/service-role/AWSWorkloadDefault~~~~~~~~""#,
    r#""permissionsBoundary":"arn:aws:iam::aws:policy/PowerUserAccess""#,
    r#""onlyAttached":false"#,
];

const ENCRYPTION: &[&str] = &[
    r#""encryptionAlgorithm":"SYMMETRIC_DEFAULT""#,
    r#""numberOfBytes":32"#,
    r#""keyUsage":"ENCRYPT_DECRYPT""#,
    r#""dryRun":false"#,
    r#""multiRegion":false"#,
    r#""origin":"AWS_KMS""#,
    r#""bypassPolicyLockoutSafetyCheck":false"#,
    r#""customerMasterKeySpec":"SYMMETRIC_DEFAULT""#,
    r#""description":"Managed by the platform team; read the runbook before changing it""#,
    r#""tags":[{"tagKey":"Environment","tagValue":"production"},{"tagKey":"CostCenter","tagValue":"4711"}]"#,
];

const STATEMENT: &str =
    r#"{\"Effect\":\"Allow\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\"Resource\":\"*\"}"#;
const POLICY_OPEN: &str = r#""policyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":["#;
const POLICY_CLOSE: &str = r#"]}""#;

fn members(texts: &[&'static str]) -> Vec<Member> {
    texts
        .iter()
        .map(|text| {
            let bytes = text.as_bytes();
            let mut holes: Vec<(usize, usize)> = Vec::new();
            for (i, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'~') {
                match holes.last_mut() {
                    Some((from, len)) if *from + *len == i => *len += 1,
                    _ => holes.push((i, 1)),
                }
            }
            Member { text, holes }
        })
        .collect()
}

impl Padding {
    /// The vocabularies, ready to be copied from.
    pub(crate) fn new() -> Self {
        Self {
            general: members(GENERAL),
            storage: members(STORAGE),
            identity: members(IDENTITY),
            encryption: members(ENCRYPTION),
        }
    }

    /// Appends about `wanted` bytes of members to an object that holds
    /// something already if `comma`. `kind` decides where the vocabulary is
    /// entered, so that one operation's requests look alike.
    #[allow(
        clippy::too_many_arguments,
        reason = "one call; a struct would only rename them"
    )]
    pub(crate) fn fill(
        &self,
        out: &mut Vec<u8>,
        wanted: i64,
        service: &str,
        kind: usize,
        account: &Account,
        prng: &mut Prng,
        mut comma: bool,
    ) {
        let list = match service {
            "s3" => &self.storage,
            "iam" | "sts" => &self.identity,
            "kms" => &self.encryption,
            _ => &self.general,
        };
        let mut left = wanted;
        for turn in 0..list.len() {
            let member = &list[(kind + turn) % list.len()];
            let size = member.text.len() as i64 + 1;
            // What is too long by half is never made good again, what is too
            // short often is: at two thirds the mean comes out true.
            if left * 3 < size * 2 {
                continue;
            }
            if comma {
                out.push(b',');
            }
            comma = true;
            let from = out.len();
            out.extend_from_slice(member.text.as_bytes());
            for (at, len) in &member.holes {
                let end = out.len();
                account
                    .thing(16 + *at as u64, prng.below(THINGS))
                    .text(out, HEX, *len);
                out.copy_within(end.., from + at);
                out.truncate(end);
            }
            left -= size;
        }
        policy(out, left, comma);
    }
}

/// A policy of as many statements as fit into what is left.
fn policy(out: &mut Vec<u8>, left: i64, comma: bool) {
    let fixed = (POLICY_OPEN.len() + POLICY_CLOSE.len() + 1) as i64;
    let each = STATEMENT.len() as i64 + 1;
    let count = (left - fixed + each / 2) / each;
    if left < fixed + each / 2 {
        return;
    }
    if comma {
        out.push(b',');
    }
    out.extend_from_slice(POLICY_OPEN.as_bytes());
    for i in 0..count {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(STATEMENT.as_bytes());
    }
    out.extend_from_slice(POLICY_CLOSE.as_bytes());
}
