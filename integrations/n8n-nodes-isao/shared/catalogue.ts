// Generated from openapi.json by integrations/generate.mjs; changes belong there.

export interface Field {
  key: string;
  type: 'string' | 'text' | 'number' | 'integer' | 'boolean' | 'datetime' | 'object';
  description: string;
  /** Whether the field has several values of this type. */
  list?: true;
  nullable?: true;
  /** Whether a record cannot be created without the field. */
  required?: true;
  choices?: string[];
  /** The fields of an object. */
  fields?: Field[];
}

export interface Event {
  event: string;
  summary: string;
  /** The record that the event is about: a key of `records`. */
  record: 'Contact' | 'Deal' | 'StageChange';
  sample: { id: string; [field: string]: unknown };
  /** The fields that `filters` of a subscription can compare. */
  filters: string[];
  /** The fields that the filter `changed` can name; empty for events that change no field. */
  changed: string[];
}

export const events: Event[] = [
  {
    "event": "contact.created",
    "summary": "A contact was created",
    "record": "Contact",
    "sample": {
      "id": "contact_sample",
      "name": "John Doe",
      "firstName": "John",
      "lastName": "Doe",
      "phoneNumber": "+33123456789",
      "email": "john.doe@example.com",
      "position": "CEO",
      "currentCompany": "Tech Corp",
      "industrySector": "Technology",
      "city": "Paris",
      "country": "France",
      "tags": [
        "vip",
        "enterprise"
      ],
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "name",
      "firstName",
      "lastName",
      "phoneNumber",
      "email",
      "position",
      "currentCompany",
      "industrySector",
      "city",
      "country",
      "tags",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  },
  {
    "event": "contact.updated",
    "summary": "The data of a contact changed",
    "record": "Contact",
    "sample": {
      "id": "contact_sample",
      "name": "John Doe",
      "firstName": "John",
      "lastName": "Doe",
      "phoneNumber": "+33123456789",
      "email": "john.doe@example.com",
      "position": "CEO",
      "currentCompany": "Tech Corp",
      "industrySector": "Technology",
      "city": "Paris",
      "country": "France",
      "tags": [
        "vip",
        "enterprise"
      ],
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "name",
      "firstName",
      "lastName",
      "phoneNumber",
      "email",
      "position",
      "currentCompany",
      "industrySector",
      "city",
      "country",
      "tags",
      "createdAt",
      "updatedAt"
    ],
    "changed": [
      "name",
      "firstName",
      "lastName",
      "phoneNumber",
      "email",
      "position",
      "currentCompany",
      "industrySector",
      "city",
      "country",
      "tags"
    ]
  },
  {
    "event": "contact.deleted",
    "summary": "A contact was deleted",
    "record": "Contact",
    "sample": {
      "id": "contact_sample",
      "name": "John Doe",
      "firstName": "John",
      "lastName": "Doe",
      "phoneNumber": "+33123456789",
      "email": "john.doe@example.com",
      "position": "CEO",
      "currentCompany": "Tech Corp",
      "industrySector": "Technology",
      "city": "Paris",
      "country": "France",
      "tags": [
        "vip",
        "enterprise"
      ],
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "name",
      "firstName",
      "lastName",
      "phoneNumber",
      "email",
      "position",
      "currentCompany",
      "industrySector",
      "city",
      "country",
      "tags",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  },
  {
    "event": "deal.created",
    "summary": "A deal was created",
    "record": "Deal",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "new",
      "priority": "high",
      "probability": 10,
      "status": "open",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": null,
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  },
  {
    "event": "deal.updated",
    "summary": "The data of a deal changed",
    "record": "Deal",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "proposal",
      "priority": "high",
      "probability": 50,
      "status": "open",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": null,
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt"
    ],
    "changed": [
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "contact",
      "assignedTo"
    ]
  },
  {
    "event": "deal.stage_changed",
    "summary": "A deal moved to another stage",
    "record": "StageChange",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "negotiation",
      "priority": "high",
      "probability": 75,
      "status": "open",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": null,
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z",
      "previousStage": "proposal"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt",
      "previousStage"
    ],
    "changed": [
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "contact",
      "assignedTo"
    ]
  },
  {
    "event": "deal.won",
    "summary": "The status of a deal became won",
    "record": "Deal",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "closed",
      "priority": "high",
      "probability": 100,
      "status": "won",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": "2024-11-08T10:30:00.000Z",
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  },
  {
    "event": "deal.lost",
    "summary": "The status of a deal became lost",
    "record": "Deal",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "closed",
      "priority": "high",
      "probability": 0,
      "status": "lost",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": "2024-11-08T10:30:00.000Z",
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  },
  {
    "event": "deal.deleted",
    "summary": "A deal was deleted",
    "record": "Deal",
    "sample": {
      "id": "deal_sample",
      "title": "Enterprise License",
      "description": "Annual licence for 50 seats",
      "value": 25000,
      "currency": "EUR",
      "stage": "closed",
      "priority": "high",
      "probability": 0,
      "status": "lost",
      "expectedCloseDate": "2024-12-31T00:00:00.000Z",
      "actualCloseDate": "2024-11-08T10:30:00.000Z",
      "source": "website",
      "contact": {
        "id": "contact_sample",
        "name": "John Doe",
        "email": "john.doe@example.com",
        "phoneNumber": "+33123456789",
        "currentCompany": "Tech Corp"
      },
      "assignedTo": {
        "id": "member_sample",
        "name": "Alice Martin",
        "email": "alice.martin@example.com"
      },
      "createdAt": "2024-11-08T10:30:00.000Z",
      "updatedAt": "2024-11-08T10:30:00.000Z"
    },
    "filters": [
      "id",
      "title",
      "description",
      "value",
      "currency",
      "stage",
      "priority",
      "probability",
      "status",
      "expectedCloseDate",
      "actualCloseDate",
      "source",
      "createdAt",
      "updatedAt"
    ],
    "changed": []
  }
];

export const records: Record<'Contact' | 'Deal' | 'StageChange', Field[]> = {
  "Contact": [
    {
      "key": "id",
      "type": "string",
      "description": "`contact_…`"
    },
    {
      "key": "name",
      "type": "string",
      "description": "The full name."
    },
    {
      "key": "firstName",
      "type": "string",
      "description": "Derived from `name` unless given.",
      "nullable": true
    },
    {
      "key": "lastName",
      "type": "string",
      "description": "Derived from `name` unless given.",
      "nullable": true
    },
    {
      "key": "phoneNumber",
      "type": "string",
      "description": "The phone number as it was written; unique in the company once punctuation is removed."
    },
    {
      "key": "email",
      "type": "string",
      "description": "Email address.",
      "nullable": true
    },
    {
      "key": "position",
      "type": "string",
      "description": "Job title.",
      "nullable": true
    },
    {
      "key": "currentCompany",
      "type": "string",
      "description": "The company the person works for.",
      "nullable": true
    },
    {
      "key": "industrySector",
      "type": "string",
      "description": "Industry.",
      "nullable": true
    },
    {
      "key": "city",
      "type": "string",
      "description": "City.",
      "nullable": true
    },
    {
      "key": "country",
      "type": "string",
      "description": "Country.",
      "nullable": true
    },
    {
      "key": "tags",
      "type": "string",
      "description": "Labels, each once.",
      "list": true
    },
    {
      "key": "createdAt",
      "type": "datetime",
      "description": "The time of creation."
    },
    {
      "key": "updatedAt",
      "type": "datetime",
      "description": "The time of the last change."
    }
  ],
  "Deal": [
    {
      "key": "id",
      "type": "string",
      "description": "`deal_…`"
    },
    {
      "key": "title",
      "type": "string",
      "description": "The title."
    },
    {
      "key": "description",
      "type": "string",
      "description": "A longer description.",
      "nullable": true
    },
    {
      "key": "value",
      "type": "number",
      "description": "Exact amount; trailing zeros are trimmed.",
      "nullable": true
    },
    {
      "key": "currency",
      "type": "string",
      "description": "ISO 4217."
    },
    {
      "key": "stage",
      "type": "string",
      "description": "Free text, `new` at first."
    },
    {
      "key": "priority",
      "type": "string",
      "description": "The priority.",
      "choices": [
        "low",
        "medium",
        "high"
      ]
    },
    {
      "key": "probability",
      "type": "integer",
      "description": "Percent, 0–100.",
      "nullable": true
    },
    {
      "key": "status",
      "type": "string",
      "description": "The status.",
      "choices": [
        "open",
        "won",
        "lost"
      ]
    },
    {
      "key": "expectedCloseDate",
      "type": "datetime",
      "description": "The date on which the deal should close.",
      "nullable": true
    },
    {
      "key": "actualCloseDate",
      "type": "datetime",
      "description": "The time at which the deal was won or lost.",
      "nullable": true
    },
    {
      "key": "source",
      "type": "string",
      "description": "The source, such as a fair or a website.",
      "nullable": true
    },
    {
      "key": "contact",
      "type": "object",
      "description": "The contact.",
      "nullable": true,
      "fields": [
        {
          "key": "id",
          "type": "string",
          "description": "`contact_…`"
        },
        {
          "key": "name",
          "type": "string",
          "description": "The full name."
        },
        {
          "key": "email",
          "type": "string",
          "description": "Email address.",
          "nullable": true
        },
        {
          "key": "phoneNumber",
          "type": "string",
          "description": "Phone number."
        },
        {
          "key": "currentCompany",
          "type": "string",
          "description": "The company the person works for.",
          "nullable": true
        }
      ]
    },
    {
      "key": "assignedTo",
      "type": "object",
      "description": "The team member that the deal is assigned to.",
      "nullable": true,
      "fields": [
        {
          "key": "id",
          "type": "string",
          "description": "`member_…`"
        },
        {
          "key": "name",
          "type": "string",
          "description": "The full name."
        },
        {
          "key": "email",
          "type": "string",
          "description": "Email address."
        }
      ]
    },
    {
      "key": "createdAt",
      "type": "datetime",
      "description": "The time of creation."
    },
    {
      "key": "updatedAt",
      "type": "datetime",
      "description": "The time of the last change."
    }
  ],
  "StageChange": [
    {
      "key": "id",
      "type": "string",
      "description": "`deal_…`"
    },
    {
      "key": "title",
      "type": "string",
      "description": "The title."
    },
    {
      "key": "description",
      "type": "string",
      "description": "A longer description.",
      "nullable": true
    },
    {
      "key": "value",
      "type": "number",
      "description": "Exact amount; trailing zeros are trimmed.",
      "nullable": true
    },
    {
      "key": "currency",
      "type": "string",
      "description": "ISO 4217."
    },
    {
      "key": "stage",
      "type": "string",
      "description": "Free text, `new` at first."
    },
    {
      "key": "priority",
      "type": "string",
      "description": "The priority.",
      "choices": [
        "low",
        "medium",
        "high"
      ]
    },
    {
      "key": "probability",
      "type": "integer",
      "description": "Percent, 0–100.",
      "nullable": true
    },
    {
      "key": "status",
      "type": "string",
      "description": "The status.",
      "choices": [
        "open",
        "won",
        "lost"
      ]
    },
    {
      "key": "expectedCloseDate",
      "type": "datetime",
      "description": "The date on which the deal should close.",
      "nullable": true
    },
    {
      "key": "actualCloseDate",
      "type": "datetime",
      "description": "The time at which the deal was won or lost.",
      "nullable": true
    },
    {
      "key": "source",
      "type": "string",
      "description": "The source, such as a fair or a website.",
      "nullable": true
    },
    {
      "key": "contact",
      "type": "object",
      "description": "The contact.",
      "nullable": true,
      "fields": [
        {
          "key": "id",
          "type": "string",
          "description": "`contact_…`"
        },
        {
          "key": "name",
          "type": "string",
          "description": "The full name."
        },
        {
          "key": "email",
          "type": "string",
          "description": "Email address.",
          "nullable": true
        },
        {
          "key": "phoneNumber",
          "type": "string",
          "description": "Phone number."
        },
        {
          "key": "currentCompany",
          "type": "string",
          "description": "The company the person works for.",
          "nullable": true
        }
      ]
    },
    {
      "key": "assignedTo",
      "type": "object",
      "description": "The team member that the deal is assigned to.",
      "nullable": true,
      "fields": [
        {
          "key": "id",
          "type": "string",
          "description": "`member_…`"
        },
        {
          "key": "name",
          "type": "string",
          "description": "The full name."
        },
        {
          "key": "email",
          "type": "string",
          "description": "Email address."
        }
      ]
    },
    {
      "key": "createdAt",
      "type": "datetime",
      "description": "The time of creation."
    },
    {
      "key": "updatedAt",
      "type": "datetime",
      "description": "The time of the last change."
    },
    {
      "key": "previousStage",
      "type": "string",
      "description": "The stage before it."
    }
  ]
};

export const inputs: Record<'createContact' | 'createDeal' | 'updateDealStatus', Field[]> = {
  "createContact": [
    {
      "key": "name",
      "type": "string",
      "description": "Required when a record is created. At most 255 characters.",
      "required": true
    },
    {
      "key": "firstName",
      "type": "string",
      "description": "Derived from `name` when absent.",
      "nullable": true
    },
    {
      "key": "lastName",
      "type": "string",
      "description": "Derived from `name` when absent.",
      "nullable": true
    },
    {
      "key": "phoneNumber",
      "type": "string",
      "description": "Required when a contact is created; unique in the company, however it is punctuated. At most 50 characters with 3 to 20 digits, and perhaps an extension (`x12`).",
      "required": true
    },
    {
      "key": "email",
      "type": "string",
      "description": "An email address.",
      "nullable": true
    },
    {
      "key": "position",
      "type": "string",
      "description": "Job title.",
      "nullable": true
    },
    {
      "key": "currentCompany",
      "type": "string",
      "description": "The company the person works for.",
      "nullable": true
    },
    {
      "key": "industrySector",
      "type": "string",
      "description": "Industry.",
      "nullable": true
    },
    {
      "key": "city",
      "type": "string",
      "description": "City.",
      "nullable": true
    },
    {
      "key": "country",
      "type": "string",
      "description": "Country.",
      "nullable": true
    },
    {
      "key": "tags",
      "type": "string",
      "description": "Labels; at most 100 of at most 100 characters.",
      "list": true,
      "nullable": true
    }
  ],
  "createDeal": [
    {
      "key": "title",
      "type": "string",
      "description": "Required when a record is created. At most 255 characters.",
      "required": true
    },
    {
      "key": "description",
      "type": "text",
      "description": "At most 10000 characters.",
      "nullable": true
    },
    {
      "key": "value",
      "type": "number",
      "description": "Exact amount: at most 15 digits before and 6 after the decimal point.",
      "nullable": true
    },
    {
      "key": "currency",
      "type": "string",
      "description": "ISO 4217 code, in any case; `EUR` when absent.",
      "nullable": true
    },
    {
      "key": "stage",
      "type": "string",
      "description": "Free text of at most 100 characters; `new` when absent.",
      "nullable": true
    },
    {
      "key": "priority",
      "type": "string",
      "description": "`medium` when absent.",
      "nullable": true,
      "choices": [
        "low",
        "medium",
        "high"
      ]
    },
    {
      "key": "probability",
      "type": "integer",
      "description": "Percent, a whole number.",
      "nullable": true
    },
    {
      "key": "status",
      "type": "string",
      "description": "`open` when absent.",
      "nullable": true,
      "choices": [
        "open",
        "won",
        "lost"
      ]
    },
    {
      "key": "expectedCloseDate",
      "type": "datetime",
      "description": "The date on which the deal should close (ISO 8601).",
      "nullable": true
    },
    {
      "key": "actualCloseDate",
      "type": "datetime",
      "description": "The time at which the deal was won or lost (ISO 8601); the present when absent.",
      "nullable": true
    },
    {
      "key": "source",
      "type": "string",
      "description": "The source, such as a fair or a website. At most 255 characters.",
      "nullable": true
    },
    {
      "key": "contactId",
      "type": "string",
      "description": "A contact of the company.",
      "nullable": true
    },
    {
      "key": "assignedToId",
      "type": "string",
      "description": "A team member of the company.",
      "nullable": true
    }
  ],
  "updateDealStatus": [
    {
      "key": "status",
      "type": "string",
      "description": "The status.",
      "choices": [
        "open",
        "won",
        "lost"
      ]
    },
    {
      "key": "stage",
      "type": "string",
      "description": "Free text of at most 100 characters."
    },
    {
      "key": "probability",
      "type": "integer",
      "description": "Percent, a whole number.",
      "nullable": true
    },
    {
      "key": "actualCloseDate",
      "type": "datetime",
      "description": "The time at which the deal was won or lost (ISO 8601); the present when absent.",
      "nullable": true
    }
  ]
};

export const queries: Record<'listContacts' | 'listDeals', Field[]> = {
  "listContacts": [
    {
      "key": "sort",
      "type": "string",
      "description": "What the list is sorted by: `createdAt`, `updatedAt` or `name`. A `-` in front is for descending order. `-createdAt` by default. Records without a value come last."
    },
    {
      "key": "total",
      "type": "boolean",
      "description": "With `false`, the answer has no `total` and no `totalPages`. Beyond 10000 the total of a filtered list is an estimate, and `totalIsEstimate` is true."
    },
    {
      "key": "search",
      "type": "string",
      "description": "Return only contacts whose name, email address or phone number contains this text, whatever its case and accents. Text of one or two characters must begin a word."
    },
    {
      "key": "createdSince",
      "type": "datetime",
      "description": "Return only records created at this time or later (ISO 8601)."
    },
    {
      "key": "updatedSince",
      "type": "datetime",
      "description": "Return only records changed at this time or later (ISO 8601)."
    },
    {
      "key": "tags",
      "type": "string",
      "description": "Return only contacts with at least one of these tags, separated by commas."
    },
    {
      "key": "email",
      "type": "string",
      "description": "Return only contacts with exactly this email address, in upper or lower case."
    },
    {
      "key": "phoneNumber",
      "type": "string",
      "description": "Return only the contact with this phone number, whatever its punctuation."
    }
  ],
  "listDeals": [
    {
      "key": "sort",
      "type": "string",
      "description": "What the list is sorted by: `createdAt`, `updatedAt`, `title`, `value` or `expectedCloseDate`. A `-` in front is for descending order. `-createdAt` by default. Records without a value come last."
    },
    {
      "key": "total",
      "type": "boolean",
      "description": "With `false`, the answer has no `total` and no `totalPages`. Beyond 10000 the total of a filtered list is an estimate, and `totalIsEstimate` is true."
    },
    {
      "key": "status",
      "type": "string",
      "description": "Return only deals with this status.",
      "choices": [
        "open",
        "won",
        "lost"
      ]
    },
    {
      "key": "stage",
      "type": "string",
      "description": "Return only deals in exactly this stage."
    },
    {
      "key": "priority",
      "type": "string",
      "description": "Return only deals with this priority.",
      "choices": [
        "low",
        "medium",
        "high"
      ]
    },
    {
      "key": "contactId",
      "type": "string",
      "description": "Return only deals with this contact."
    },
    {
      "key": "assignedToId",
      "type": "string",
      "description": "Return only deals assigned to this team member."
    },
    {
      "key": "search",
      "type": "string",
      "description": "Return only deals whose title or description contains this text, whatever its case and accents. Text of one or two characters must begin a word."
    },
    {
      "key": "createdSince",
      "type": "datetime",
      "description": "Return only records created at this time or later (ISO 8601)."
    },
    {
      "key": "updatedSince",
      "type": "datetime",
      "description": "Return only records changed at this time or later (ISO 8601)."
    }
  ]
};
